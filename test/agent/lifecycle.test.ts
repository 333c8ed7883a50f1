import { describe, expect, test } from "vitest";
import type { NoticesReading } from "../../agent/core/notice-shapes.ts";
import { configured, ipv4Prefix, ipv6Prefix, known } from "./fixture.ts";
import { enrolledDisk, noNotice, World } from "./world.ts";

const spec = (epoch = 1) => ({
  epoch,
  device: "00000000-0000-4000-8000-000000005001",
  user: "ana",
  pool: "pool1",
  wireguardKey: "W".repeat(43),
});
const key = "session/00000000-0000-4000-8000-000000001001";
const otherKey = "session/00000000-0000-4000-8000-000000001002";
const other = { ...spec(), device: "00000000-0000-4000-8000-000000005002" };

/** Active, with one session. */
function serving(changed: ConstructorParameters<typeof World>[1] = {}): World {
  const world = new World(enrolledDisk(), changed);
  world.reading = known(ipv4Prefix, ipv6Prefix);
  return world.want({ ...configured, [key]: spec() }).run({ kind: "start" });
}

const goodbyes = (world: World) => world.sent.filter((message) => message.type === "goodbye");
const dials = (world: World) => world.done.filter(({ do: what }) => what === "dial").length;

function announced(change: Partial<NoticesReading>): NoticesReading {
  return { ...noNotice, ...change };
}
const spotIn = (world: World, ms: number) =>
  announced({ spot: { is: "known", value: { action: "terminate", atMs: world.now.wallMs + ms } } });
const unreadable = { is: "unknown", why: "imds.failing", facts: { status: 503 } } as const;

describe("a draining instance", () => {
  test("serves whom it is told, lets go of whom it is no longer told, and grants whom it is told anew", () => {
    const world = serving();
    const granted = { outcome: "granted", epoch: 1 };
    world.run({ kind: "hold", reason: "cli", isOn: true });
    expect(world.observed.get("instance")).toMatchObject({ status: "Draining" });
    expect(world.observed.get(key)).toMatchObject(granted);
    expect(world.plans.at(-1)?.peers).toHaveLength(1);
    world.pass(120_000);
    expect(world.plans.at(-1)?.peers).toHaveLength(1);
    // Whom it is not told it grants nothing; placement is the controller's, also while it drains.
    world.want({ [otherKey]: other });
    expect(world.observed.get(otherKey)).toMatchObject(granted);
    world.want({ [key]: undefined, [otherKey]: undefined });
    expect(world.observed.has(key)).toBe(false);
    expect(world.plans.at(-1)?.peers).toEqual([]);
    expect(world.status).toMatchObject({ status: "Draining", sessions: 0 });
  });

  test("shows since when, until when, and how many of how many are left", () => {
    const world = serving().want({ [otherKey]: other });
    const sinceMs = Math.floor(world.now.wallMs);
    world.run({ kind: "hold", reason: "cli", isOn: true, forMs: 60_000 });
    expect(world.status.draining).toEqual({ sinceMs, untilMs: sinceMs + 60_000, sessionsMost: 2 });
    world.pass(10_000).want({ [key]: undefined });
    expect(world.status).toMatchObject({ sessions: 1, draining: { sinceMs, sessionsMost: 2 } });
    // It is for those who look: nothing ends by itself.
    world.pass(120_000);
    expect(world.status).toMatchObject({ status: "Draining", drain: ["cli"] });
    world.restart().run({ kind: "start" });
    expect(world.status.draining).toEqual({ sinceMs, untilMs: sinceMs + 60_000, sessionsMost: 1 });
    world.run({ kind: "hold", reason: "cli", isOn: true });
    expect(world.status.draining).toEqual({ sinceMs, sessionsMost: 1 });
    world.run({ kind: "hold", reason: "cli", isOn: false });
    expect(world.status.draining).toBeUndefined();
  });

  test("of an older version, which wrote no times down", () => {
    const disk = enrolledDisk();
    disk.facts.set("drain", ["cli"]);
    const world = new World(disk).run({ kind: "start" });
    expect(world.status).toMatchObject({ drain: ["cli"], draining: { sinceMs: 0 } });
  });
});

describe("AWS announces", () => {
  test("a spot interruption: drains within five seconds, until AWS takes it back", () => {
    const world = serving();
    world.notices = spotIn(world, 120_000);
    world.pass(5_000);
    expect(world.status).toMatchObject({ status: "Draining", drain: ["spot"] });
    expect(world.conditions["notice.spot"]?.text).toContain("terminate");
    expect(world.observed.get("instance")).toMatchObject({ status: "Draining" });
    world.notices = noNotice;
    world.pass(10_000);
    expect(world.status.drain).toEqual(["spot"]);
    world.pass(5_000);
    expect(world.status).toMatchObject({ status: "Active", drain: [] });
    expect(world.conditions).toEqual({});
  });

  test("says goodbye five seconds before the machine goes, and comes back when it does not", () => {
    const world = serving();
    world.notices = spotIn(world, 120_000);
    world.pass(110_000);
    expect(goodbyes(world)).toEqual([]);
    expect(world.isLinked).toBe(true);
    world.pass(6_000);
    expect(goodbyes(world)).toEqual([{ type: "goodbye", reason: "spot" }]);
    expect(world.status).toMatchObject({
      status: "Offline",
      departure: { state: "left", reason: "spot", sessions: 1 },
    });
    const before = dials(world);
    world.pass(60_000);
    expect(dials(world)).toBe(before);
    // Who is still here is still carried.
    expect(world.plans.at(-1)?.peers).toHaveLength(1);
    world.notices = noNotice;
    world.pass(15_000);
    expect(world.isLinked).toBe(true);
    expect(world.status).toMatchObject({ status: "Active", drain: [] });
  });

  test("a hibernation, which begins at once: a move gets its few seconds", () => {
    const world = serving();
    world.notices = spotIn(world, -1_000);
    world.pass(5_000);
    const noticed = world.nowMs;
    expect(goodbyes(world)).toEqual([]);
    while (goodbyes(world).length === 0) world.pass(100);
    expect(world.nowMs - noticed).toBeGreaterThanOrEqual(4_000);
    expect(world.nowMs - noticed).toBeLessThanOrEqual(5_100);
  });

  test("a metadata service that fails ends no drain, and begins none", () => {
    const world = serving();
    world.notices = { spot: unreadable, rebalance: unreadable, autoscaling: unreadable };
    world.pass(70_000);
    expect(world.status.drain).toEqual([]);
    expect(Object.keys(world.conditions)).toEqual(["notice.unreadable"]);
    world.notices = spotIn(world, 3_600_000);
    world.pass(5_000);
    world.notices = { spot: unreadable, rebalance: unreadable, autoscaling: unreadable };
    world.pass(600_000);
    expect(world.status.drain).toEqual(["spot"]);
  });

  test("an agent that starts while it fails goes by what was known before", () => {
    const world = serving();
    world.notices = spotIn(world, 3_600_000);
    world.pass(5_000);
    world.notices = { spot: unreadable, rebalance: unreadable, autoscaling: unreadable };
    world.restart().run({ kind: "start" }).pass(60_000);
    expect(world.status).toMatchObject({ status: "Draining", drain: ["spot"] });
    // One that was stopped and started again is another life: the first word counts.
    world.notices = noNotice;
    world.restart().run({ kind: "start" });
    expect(world.status).toMatchObject({ status: "Active", drain: [] });
  });

  test("a rebalance recommendation is shown; it drains where that is set", () => {
    const notices = announced({ rebalance: { is: "known", value: { noticedMs: 0 } } });
    const shows = serving();
    shows.notices = notices;
    shows.pass(15_000);
    expect(shows.status).toMatchObject({ status: "Active", drain: [] });
    expect(shows.conditions["notice.rebalance"]).toMatchObject({ severity: "info" });
    const drains = serving({ rebalance: "drain" });
    drains.notices = notices;
    drains.pass(15_000);
    expect(drains.status).toMatchObject({ status: "Draining", drain: ["rebalance"] });
    // The setting is changed: what was saved under the other one does not count.
    const again = new World(drains.disk).run({ kind: "start" });
    expect(again.status.drain).toEqual([]);
  });

  test.each([
    ["Terminated", true],
    ["Standby", true],
    ["Warmed:Stopped", true],
    ["Warmed:Terminated", true],
    ["InService", false],
    ["Detached", false],
  ] as const)("that the Auto Scaling group wants it %s: drains %s", (state, drains) => {
    const world = serving();
    world.notices = announced({ autoscaling: { is: "known", value: state } });
    world.pass(15_000);
    expect(world.status.drain).toEqual(drains ? ["autoscaling"] : []);
    world.notices = announced({ autoscaling: { is: "known", value: "InService" } });
    world.pass(15_000);
    expect(world.status).toMatchObject({ status: "Active", drain: [] });
    expect(goodbyes(world)).toEqual([]);
  });

  test("one reason ends no other", () => {
    const world = serving();
    world.run({ kind: "hold", reason: "cli", isOn: true }).want({ drain: { sinceMs: 5 } });
    world.notices = { ...spotIn(world, 3_600_000), autoscaling: { is: "known", value: "Terminated" } };
    world.pass(15_000);
    expect(new Set(world.status.drain)).toEqual(new Set(["cli", "admin", "spot", "autoscaling"]));
    world.run({ kind: "hold", reason: "cli", isOn: false });
    expect(new Set(world.status.drain)).toEqual(new Set(["admin", "spot", "autoscaling"]));
    world.notices = noNotice;
    world.pass(15_000);
    expect(world.status.drain).toEqual(["admin", "autoscaling"]);
    world.pass(30_000);
    expect(world.status.drain).toEqual(["admin"]);
    world.want({ drain: undefined });
    expect(world.status).toMatchObject({ status: "Active", drain: [] });
  });
});

describe("leaving", () => {
  test("drains, says goodbye when nobody is left, stays away, and a new start brings it back", () => {
    const world = serving().run({ kind: "leave", forMs: 60_000 });
    expect(world.status).toMatchObject({
      status: "Draining",
      drain: ["shutdown"],
      departure: { state: "leaving", reason: "shutdown" },
    });
    world.pass(10_000);
    expect(goodbyes(world)).toEqual([]);
    world.want({ [key]: undefined });
    expect(goodbyes(world)).toEqual([{ type: "goodbye", reason: "shutdown" }]);
    expect(world.done).toContainEqual({ do: "left", reason: "shutdown", sessions: 0 });
    const before = dials(world);
    world.pass(300_000);
    expect(dials(world)).toBe(before);
    world.restart().run({ kind: "start" });
    expect(world.status).toMatchObject({ status: "Active", drain: [] });
    expect(world.status.departure).toBeUndefined();
  });

  test("with the deadline the goodbye is said, whoever is left, and who is left is carried on", () => {
    const world = serving().run({ kind: "leave", forMs: 60_000 }).pass(60_100);
    expect(goodbyes(world)).toHaveLength(1);
    expect(world.status.departure).toMatchObject({ state: "left", sessions: 1 });
    expect(world.plans.at(-1)?.peers).toHaveLength(1);
  });

  test("with nobody here it leaves at once; with no controller in reach it leaves with the deadline", () => {
    const empty = serving()
      .want({ [key]: undefined })
      .run({ kind: "leave", forMs: 60_000 });
    expect(goodbyes(empty)).toHaveLength(1);
    const alone = serving();
    alone.isControllerThere = false;
    alone.cut().run({ kind: "leave", forMs: 10_000 }).pass(11_000);
    expect(goodbyes(alone)).toEqual([]);
    expect(alone.status.departure).toMatchObject({ state: "left", sessions: 1 });
  });

  test("ended while it leaves it says its goodbye then; ended otherwise it says none", () => {
    const leaving = serving().run({ kind: "leave", forMs: 60_000 }, { kind: "stop" });
    expect(goodbyes(leaving)).toEqual([{ type: "goodbye", reason: "shutdown" }]);
    expect(goodbyes(serving().run({ kind: "stop" }))).toEqual([]);
    // That AWS will take it is no reason that this stop is the one.
    const spot = serving();
    spot.notices = spotIn(spot, 120_000);
    spot.pass(5_000).run({ kind: "stop" });
    expect(goodbyes(spot)).toEqual([]);
  });

  test("asked once more after a goodbye for AWS, it is done", () => {
    const world = serving();
    world.notices = spotIn(world, 30_000);
    world.pass(40_000);
    expect(goodbyes(world)).toHaveLength(1);
    world.run({ kind: "leave", forMs: 60_000 });
    expect(world.done).toContainEqual({ do: "left", reason: "shutdown", sessions: 1 });
    expect(goodbyes(world)).toHaveLength(1);
    // The notice is taken back: it was told to leave all the same.
    world.notices = noNotice;
    world.pass(60_000);
    expect(world.isLinked).toBe(false);
  });

  test("by a person and AWS together: each end stands by itself, and the earlier one counts", () => {
    const minutes = 60_000;
    const both = () => {
      const world = serving().run({ kind: "leave", forMs: 10 * minutes });
      world.notices = spotIn(world, 2 * minutes);
      return world.pass(20_000);
    };
    const again = both().run({ kind: "leave", forMs: 10 * minutes });
    again.pass(90_000);
    expect(goodbyes(again)).toEqual([]);
    again.pass(10_000);
    expect(goodbyes(again), "asked twice, and AWS takes it all the same").toHaveLength(1);
    const takenBack = both();
    takenBack.notices = noNotice;
    takenBack.pass(5 * minutes);
    expect(goodbyes(takenBack), "nobody takes it, and the person gave it longer").toEqual([]);
    takenBack.pass(5 * minutes);
    expect(goodbyes(takenBack)).toEqual([{ type: "goodbye", reason: "shutdown" }]);
  });

  test("asked of an agent that has started again and not heard from AWS yet", () => {
    const world = serving();
    const spot = spotIn(world, 120_000);
    world.notices = spot;
    world.pass(5_000);
    world.notices = { spot: unreadable, rebalance: unreadable, autoscaling: unreadable };
    world.restart().run({ kind: "start" }, { kind: "leave", forMs: 600_000 });
    world.notices = spot;
    world.pass(120_000);
    expect(goodbyes(world)).toHaveLength(1);
  });

  test("hand-made resume does not undo it", () => {
    const world = serving().run({ kind: "leave", forMs: 60_000 });
    world.run({ kind: "hold", reason: "cli", isOn: false });
    expect(world.status.drain).toEqual(["shutdown"]);
  });
});
