import { describe, expect, test } from "vitest";
import { statusText, troublesOf } from "../../controller/cli/text/status.ts";
import { Harness } from "./harness.ts";
import { activeInstance, attachedDevice, withConnector, withTwoGroups } from "./peers.ts";

/** Long after this nobody is tried again by the clock: who is served before was served because of what happened. */
const settings = {
  retryWaitingMs: 3_600_000,
  heartbeatMs: { agent: 60_000, device: 60_000 },
  silentHeartbeats: 10,
};

/** One instance with two addresses, and three devices. */
function full() {
  const h = new Harness(settings);
  withConnector(h);
  const one = activeInstance(h, 2);
  const users = Array.from({ length: 3 }, (_, i) => attachedDevice(h, `u${i}`));
  const [first, , left] = users;
  if (first === undefined || left === undefined) throw new Error("three");
  return { h, one, first, left };
}

const waiting = (h: Harness) => h.views.connector("prod")?.waiting;
const noAddress = (sessions: number) => [{ group: "staff", code: "placement.no-address", sessions }];

describe("who finds no free address", () => {
  test("is told so, and counted in views, metrics and status", () => {
    const { h, left } = full();
    expect(left.device.attachment).toEqual({ state: "waiting", code: "placement.no-address" });
    expect(waiting(h)).toEqual(noAddress(1));
    expect(h.core.metricsFacts().waiting).toEqual(noAddress(1));
    expect(h.views.sessions({ state: "waiting" }).map(({ device }) => device)).toEqual([left.id]);
    expect(h.views.sessions({ state: "attached" })).toHaveLength(2);
    const group = { connectors: h.views.connectors(), instances: h.views.instances() };
    expect(statusText(group, troublesOf(group), undefined)).toContain(
      "prod: 1 of group staff without a place: Every active instance's pool for this group is full [placement.no-address]\n  → connector-controller session list --state waiting. Assign more prefixes",
    );
  });

  test("is served within a tenth of a second of the report that a lease has ended", () => {
    const { h, one, first, left } = full();
    first.device.wants("detached");
    h.pass(60_000);
    expect(left.device.attachment, "its address rests").toMatchObject({ state: "waiting" });
    one.agent.become("Active", { Pool1: 1 }, one.ec2);
    h.pass(100);
    expect(left.device.attachment).toMatchObject({ state: "attached", instance: one.name });
    expect(waiting(h)).toEqual([]);
  });

  test("is served when a range is added to the pool", () => {
    const { h, one, left } = full();
    const [range = ""] = one.view.pools[0]?.ipv4 ?? [];
    const ipv4 = [range, range.replace(/^10\.8\./, "10.9.")];
    h.do({ command: "instance.pools.set", instance: one.name, pools: { Pool1: { ipv4, ipv6: [] } } });
    h.pass(1_000);
    expect(left.device.attachment, "until the instance has it").toMatchObject({ state: "waiting" });
    one.agent.become("Active", { Pool1: 16 }, one.ec2);
    h.pass(100);
    expect(left.device.attachment).toMatchObject({ state: "attached" });
  });

  test("is served when an instance arrives, or one that drained is resumed", () => {
    const { h, left } = full();
    const { name } = activeInstance(h, 1);
    h.pass(100);
    expect(left.device.attachment).toMatchObject({ state: "attached", instance: name });
    const late = attachedDevice(h, "late");
    const third = activeInstance(h, 1);
    h.do({ command: "instance.drain", instance: third.name });
    h.pass(1_000);
    expect(late.device.attachment).toMatchObject({ state: "waiting" });
    h.do({ command: "instance.resume", instance: third.name });
    h.pass(100);
    expect(late.device.attachment).toMatchObject({ state: "attached", instance: third.name });
  });

  test("is served before who came later, when there is one address for both", () => {
    const { h, one, left } = full();
    const late = attachedDevice(h, "late");
    expect(waiting(h)).toEqual(noAddress(2));
    one.agent.become("Active", { Pool1: 1 }, one.ec2);
    h.pass(100);
    expect(left.device.attachment).toMatchObject({ state: "attached" });
    expect(late.device.attachment).toMatchObject({ state: "waiting" });
  });

  test("is of its group alone: another's pool on the same instance has room", () => {
    const h = new Harness(settings);
    withTwoGroups(h);
    const one = activeInstance(h, 1);
    const [range = ""] = one.view.pools.find(({ pool }) => pool === "Pool1")?.ipv4 ?? [];
    const pools = {
      Pool1: { ipv4: [range], ipv6: [] },
      Pool2: { ipv4: [range.replace(/^10\.8\./, "10.9.")], ipv6: [] },
    };
    h.do({ command: "instance.pools.set", instance: one.name, pools });
    one.agent.become("Active", { Pool1: 1, Pool2: 9 }, one.ec2);
    attachedDevice(h, "a");
    const left = attachedDevice(h, "b");
    const guest = attachedDevice(h, "c", "guests");
    expect(left.device.attachment).toMatchObject({ state: "waiting" });
    expect(guest.device.attachment).toMatchObject({ state: "attached", instance: one.name });
    expect(waiting(h)).toEqual(noAddress(1));
  });
});
