import { afterEach, describe, expect, test, vi } from "vitest";
import { Fleet } from "../../controller/core/fleet.ts";
import { Judge } from "../../controller/core/judge.ts";
import { Model } from "../../controller/core/model.ts";
import { Peers } from "../../controller/core/peers.ts";
import { Placement } from "../../controller/core/placement.ts";
import { Placer } from "../../controller/core/placer.ts";
import { type Room, Seekers } from "../../controller/core/seekers.ts";
import { coreDefaults } from "../../controller/core/settings.ts";
import { Harness } from "./harness.ts";
import { activeInstance, attachedDevice, withConnector } from "./peers.ts";

afterEach(() => {
  vi.restoreAllMocks();
});

const full: Room = { free: 0, code: "placement.no-address" };
const seekers = (...devices: string[]) => {
  const all = new Seekers();
  for (const device of devices) all.add("staff", device);
  return all;
};

describe("who waits for an address", () => {
  test("is looked at in turn, as many as there are addresses", () => {
    const all = seekers("a", "b", "c");
    expect(all.take(() => ({ free: 2, code: undefined }))).toEqual(["a", "b"]);
    all.delete("a");
    expect(
      all.take(() => ({ free: 2, code: undefined })),
      "who got none is behind the others",
    ).toEqual(["c", "b"]);
    expect(all.size).toBe(2);
  });

  test("is looked at when the answer is another, and then not again", () => {
    const all = seekers("a", "b");
    expect(all.take(() => full)).toEqual(["a", "b"]);
    expect(all.take(() => full)).toEqual([]);
    expect(all.take(() => ({ free: 0, code: "placement.no-instance" }))).toEqual(["a", "b"]);
    expect(all.take(() => full)).toEqual(["a", "b"]);
    expect(all.take(() => full)).toEqual([]);
  });

  test("is not kept from an address by another group's want of one", () => {
    const all = seekers("a");
    all.add("guests", "g");
    const room = (group: string): Room => (group === "guests" ? { free: 1, code: undefined } : full);
    expect(all.take(room)).toEqual(["a", "g"]);
    expect(all.take(room)).toEqual(["g"]);
  });

  test("costs nothing while a full group's instances report", () => {
    const h = new Harness({ heartbeatMs: { agent: 60_000, device: 60_000 }, silentHeartbeats: 10 });
    withConnector(h);
    const one = activeInstance(h, 1);
    const users = Array.from({ length: 40 }, (_, i) => attachedDevice(h, `u${i}`));
    h.pass(10_000);
    const takes = vi.spyOn(Placement.prototype, "take");
    const { commits } = h.store;
    for (let i = 0; i < 20; i++) {
      one.agent.become("Active", { Pool1: 0 }, one.ec2);
      h.pass(200);
    }
    h.pass(60_000);
    expect(takes).not.toHaveBeenCalled();
    expect(h.store.commits).toBe(commits);
    one.agent.become("Active", { Pool1: 3 }, one.ec2);
    h.pass(100);
    expect(takes.mock.calls.length, "those that there are addresses for").toBe(3);
    const attached = users.filter(({ device }) => device.attachment?.state === "attached");
    expect(attached).toHaveLength(4);
  });
});

test("a pass is so long that the event loop comes round, and the next goes on", () => {
  const model = new Model();
  const fleet = new Fleet();
  const now = { monotonicMs: 1, wallMs: 1 };
  const judge = new Judge({ model, fleet, peers: new Peers() }, coreDefaults, now);
  const placer = new Placer({ model, fleet, judge }, () => "id", coreDefaults, now);
  for (let i = 0; i < 5_000; i++) placer.look(`d${i}`);
  const sizes: number[] = [];
  while (placer.isDue(now)) sizes.push(placer.pass(now).devices.size);
  expect(sizes).toEqual([2_048, 2_048, 904]);
});
