import { describe, expect, test } from "vitest";
import type { SessionSpec } from "../../protocol/specs.ts";
import { configured, ipv4Prefix, ipv6Prefix, known } from "./fixture.ts";
import { enrolledDisk, World } from "./world.ts";

const key = "session/00000000-0000-4000-8000-000000001001";
const spec: SessionSpec = {
  epoch: 1,
  device: "00000000-0000-4000-8000-000000005001",
  user: "ana",
  pool: "pool1",
  wireguardKey: "W".repeat(43),
};

function active(): World {
  const world = new World(enrolledDisk());
  world.reading = known(ipv4Prefix, ipv6Prefix);
  return world.want(configured).run({ kind: "start" });
}

const acks = (world: World) => world.sent.filter(({ type }) => type === "ack").length;

describe("a change of the desired state is acknowledged when it is on disk", () => {
  test("not before the write has ended, however many inputs one turn has", () => {
    const world = active();
    const before = acks(world);
    const effects = world.agent.handle(
      {
        kind: "link",
        input: {
          kind: "received",
          dialId: 1,
          message: { type: "state", from: 1, to: 2, part: 0, last: true, set: [[key, spec]], remove: [] },
        },
      },
      world.now,
    );
    expect(effects.map((effect) => effect.do)).toContain("store");
    expect(effects.filter((effect) => effect.do === "send" && effect.message.type === "ack")).toEqual([]);
    expect(acks(world)).toBe(before);
  });

  test("not while the disk is full; as soon as it is not", () => {
    const world = active();
    world.diskFails = "store.full";
    const before = acks(world);
    world.want({ [key]: spec }).pass(30_000);
    expect(world.observed.get(key)).toMatchObject({ outcome: "refused", code: "store.full" });
    expect(acks(world)).toBe(before);
    world.diskFails = undefined;
    world.pass(10_000);
    expect(acks(world)).toBeGreaterThan(before);
    expect(world.disk.desired.get(key)).toEqual(spec);
    expect(world.observed.get(key)).toMatchObject({ outcome: "granted" });
  });

  test("a repeated frame does not make it sooner", () => {
    const world = active();
    world.diskFails = "store.full";
    world.copies = () => 2;
    const before = acks(world);
    world.want({ [key]: spec });
    expect(acks(world)).toBe(before);
  });
});

test("a grant and the session it is for are on disk together, also after failures", () => {
  const world = active();
  world.diskFails = "store.full";
  world.want({ [key]: spec }).pass(1_000);
  world.diskFails = undefined;
  while (world.observed.get(key) !== undefined && world.disk.leases.size === 0) world.pass(50);
  expect(world.disk.desired.get(key)).toEqual(spec);
});

test("a restart without the controller ends no lease: what it does not remember may be wanted all the same", () => {
  const other = "session/00000000-0000-4000-8000-000000001002";
  const world = active();
  world.want({ [key]: spec, [other]: { ...spec, device: "00000000-0000-4000-8000-000000005002" } });
  world.disk.desired.delete(key);
  world.isControllerThere = false;
  world.restart().run({ kind: "start" }).pass(600_000);
  const ofAna = [...world.disk.leases.values()].find(({ device }) => device === spec.device);
  expect(ofAna).toMatchObject({ state: "leased", session: { id: key.slice("session/".length) } });
});
