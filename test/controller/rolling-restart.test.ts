import { describe, expect, test } from "vitest";
import { coreDefaults } from "../../controller/core/settings.ts";
import { RollingWorld } from "./rolling.ts";

const { restartDrainMs, restartReturnMs, drainDeadlineMs } = coreDefaults;
const actions = (world: RollingWorld) =>
  world.h.store.audit.map(({ action }) => action).filter((action) => /restart/.test(action));

describe("a rolling restart", () => {
  test("goes through all instances, one at a time, and nobody is without a place", () => {
    const world = new RollingWorld({ instances: 3, devices: 9 });
    const processes = world.instances.map(({ process }) => process);
    world.fewest = 3;
    expect(world.restart()).toMatchObject({ state: "running", minActive: 2, instances: 3 });
    for (let i = 0; i < 120 && world.view.state === "running"; i++) {
      world.pass(500);
      expect(world.unserved).toBe(0);
    }
    expect(world.steps).toEqual(["1 restarted", "2 restarted", "3 restarted"]);
    expect(world.view).toMatchObject({ state: "done", restarted: 3, at: null, endedBy: "controller" });
    expect(world.instances.map(({ ended }) => ended)).toEqual([1, 1, 1]);
    expect(world.fewest).toBe(2);
    expect(world.h.views.instances("prod").every(({ status }) => status === "Active")).toBe(true);
    for (const [i, { process }] of world.instances.entries()) expect(process).not.toBe(processes[i]);
    expect(world.h.views.instances("prod").map(({ process }) => process)).toEqual(
      world.instances.map(({ process }) => process),
    );
    expect(actions(world)).toEqual([
      "connector.restart",
      ...[1, 2, 3].flatMap(() => ["restart.draining", "restart.restarting", "restart.restarted"]),
      "restart.end",
    ]);
  });

  test("ends no drain of an administrator, and an instance that is drained is passed over", () => {
    const world = new RollingWorld({});
    world.h.do({ command: "instance.drain", instance: world.at(2).name });
    world.pass(5_000);
    world.restart();
    world.pass(60_000);
    expect(world.steps).toEqual(["1 restarted", "2 skipped drained", "3 restarted"]);
    expect(world.h.views.instance(world.at(2).name)).toMatchObject({ drain: true, status: "Draining" });
    expect(world.at(2).ended).toBe(0);
  });

  test("an administrator who drains the one whose turn it is finds it drained when it is back", () => {
    const world = new RollingWorld({});
    world.comeOver = false;
    world.restart();
    world.pass(1_000);
    world.h.do({ command: "instance.drain", instance: world.at(1).name });
    world.follow();
    expect(world.h.views.instance(world.at(1).name)?.draining?.reasons).toEqual(["admin", "restart"]);
    world.comeOver = true;
    world.pass(20_000);
    expect(world.steps[0]).toBe("1 restarted");
    expect(world.h.views.instance(world.at(1).name)).toMatchObject({ status: "Draining", drain: true });
    expect(world.h.views.instance(world.at(1).name)?.draining?.reasons).toEqual(["admin"]);
  });

  test("stops at the first that does not come back; the others are untouched", () => {
    const world = new RollingWorld({});
    world.at(2).returns = false;
    world.restart();
    world.pass(restartReturnMs + 60_000);
    expect(world.steps).toEqual(["1 restarted", "2 stopped not-returned", "3 untouched"]);
    expect(world.view).toMatchObject({ state: "stopped", at: world.at(2).name, why: "not-returned" });
    expect(world.at(3).ended).toBe(0);
    expect(world.unserved).toBe(0);
    // What comes back late is an instance like any other.
    world.at(2).returns = true;
    world.pass(10_000);
    expect(world.h.views.instance(world.at(2).name)).toMatchObject({ status: "Active", draining: null });
    expect(world.view.state).toBe("stopped");
  });

  test("stops at one whose process stays, and takes the drain back", () => {
    const world = new RollingWorld({});
    world.restart();
    // It hears nothing of restarts any more.
    world.at(1).isAble = true;
    const { process } = world.at(1);
    world.at(1).step = () => false;
    world.pass(restartReturnMs + 30_000);
    expect(world.steps).toEqual(["1 stopped not-ended", "2 untouched", "3 untouched"]);
    expect(world.h.views.instance(world.at(1).name)).toMatchObject({ process });
    expect(world.at(1).told).toBeUndefined();
  });

  test("cuts nobody off where there is no room, takes the drain back, and says so", () => {
    const world = new RollingWorld({ instances: 2, devices: 6, free: 3 });
    expect(world.unserved).toBe(0);
    world.restart();
    for (let i = 0; i < (restartDrainMs + drainDeadlineMs) / 1_000 + 5; i++) {
      world.pass(1_000);
      expect(world.unserved).toBe(0);
    }
    expect(world.steps).toEqual(["1 stopped no-room", "2 untouched"]);
    world.pass(5_000);
    expect(world.instances.map(({ ended }) => ended)).toEqual([0, 0]);
    expect(world.h.views.instances("prod").map(({ status }) => status)).toEqual(["Active", "Active"]);
    expect(world.h.views.instances("prod").every(({ draining }) => draining === null)).toBe(true);
  });

  test("a device that does not come over is let go of at its deadline, and the restart goes on", () => {
    const world = new RollingWorld({ instances: 2, devices: 4 });
    world.comeOver = false;
    world.restart();
    world.pass(drainDeadlineMs - 2_000);
    expect(world.steps[0]).toBe("1 draining");
    world.pass(6_000);
    expect(world.steps[0]).not.toBe("1 draining");
  });

  test("never begins with one when too few others are Active, and stops if they stay away", () => {
    const world = new RollingWorld({ instances: 3, devices: 3 });
    world.restart(2);
    world.at(3).returns = false;
    world.at(3).die();
    world.pass(restartDrainMs + drainDeadlineMs + 5_000);
    expect(world.view).toMatchObject({ state: "stopped", why: "too-few-active" });
    expect(world.instances.map(({ ended }) => ended)).toEqual([0, 0, 0]);
  });

  test("waits for one that is away for a moment when its turn comes", () => {
    const world = new RollingWorld({ instances: 3, devices: 0 });
    world.restart(1);
    world.at(3).returns = false;
    world.at(3).die();
    world.pass(20_000);
    expect(world.steps).toEqual(["1 restarted", "2 restarted", "3 queued"]);
    world.at(3).returns = true;
    world.pass(10_000);
    expect(world.steps).toEqual(["1 restarted", "2 restarted", "3 restarted"]);
  });

  test("nobody is sent to the next in turn in the moment in which that begins to drain", () => {
    const world = new RollingWorld({ instances: 2, devices: 4 });
    const { h } = world;
    // What the other offers is gone when it is asked for.
    world.at(2).agent.offer({ Pool1: 0 });
    world.restart(1);
    world.pass(1_000);
    expect(h.views.sessions().filter(({ state }) => state === "waiting")).toHaveLength(2);
    world.at(1).die();
    h.isHolding = true;
    world.at(1).start();
    world.at(2).rested();
    h.pass(200);
    world.write();
    expect(world.steps).toEqual(["1 restarted", "2 draining"]);
    const places = h.held.flatMap(({ plan }) =>
      plan.changes.flatMap((change) =>
        change.table === "session" && "put" in change ? [change.put.place] : [],
      ),
    );
    const { id } = h.views.instance(world.at(1).name) ?? {};
    expect(places.length).toBeGreaterThan(0);
    for (const place of places) expect(place).toMatchObject({ is: "placed", instance: id });
  });

  test("one that restarts by itself in its turn is not restarted a second time", () => {
    const world = new RollingWorld({ devices: 6 });
    world.comeOver = false;
    world.restart();
    world.pass(1_000);
    expect(world.steps[0]).toBe("1 draining");
    world.at(1).die();
    world.comeOver = true;
    world.pass(10_000);
    expect(world.steps[0]).toBe("1 restarted");
    expect(world.at(1).ended).toBe(0);
  });

  test("an instance that is removed in its turn is passed over", () => {
    const world = new RollingWorld({ devices: 6 });
    world.comeOver = false;
    world.restart(1);
    world.pass(1_000);
    const { name } = world.at(1);
    world.at(1).returns = false;
    world.h.do({ command: "instance.remove", instance: name });
    world.comeOver = true;
    world.pass(30_000);
    expect(world.steps).toEqual(["1 skipped removed", "2 restarted", "3 restarted"]);
  });

  test("is cancelled: the drain is taken back, what is begun comes back by itself", () => {
    const world = new RollingWorld({ devices: 6 });
    world.comeOver = false;
    world.restart();
    world.pass(1_000);
    expect(world.at(1).told).toMatchObject({ go: false });
    const cancelled = world.h.do({ command: "connector.restart.cancel", connector: "prod" });
    expect(cancelled).toMatchObject({ state: "cancelled", at: world.at(1).name, endedBy: "token:test" });
    world.pass(60_000);
    expect(world.steps).toEqual(["1 cancelled", "2 untouched", "3 untouched"]);
    expect(world.at(1).told).toBeUndefined();
    expect(world.instances.map(({ ended }) => ended)).toEqual([0, 0, 0]);
    expect(world.h.refused({ command: "connector.restart.cancel", connector: "prod" })).toBe(
      "admin.conflict",
    );
  });

  test.each([1, 2, 3, 5, 8, 13])(
    "survives deaths of the controller, one at every write number %i",
    (every) => {
      const world = new RollingWorld({ devices: 6 });
      const { id } = world.restart();
      const { h } = world;
      h.isHolding = true;
      let writes = 0;
      for (let i = 0; i < 4_000 && world.view.state === "running"; i++) {
        world.pass(100);
        if (h.held.length === 0) continue;
        writes += 1;
        // One that is lost each time would never be made.
        if (writes % every === 0) world.crash(writes % (every * 2) === 0 || every === 1);
        else world.write();
        world.follow();
        expect(world.unserved).toBe(0);
      }
      expect(world.view).toMatchObject({ id, state: "done" });
      expect(writes).toBeGreaterThan(9);
      expect(world.instances.map(({ ended }) => ended)).toEqual([1, 1, 1]);
    },
  );

  test("nobody is told before it is stored, and a failed write is made again", () => {
    const world = new RollingWorld({ devices: 3 });
    world.h.isHolding = true;
    world.h.begin({ command: "connector.restart", connector: "prod" });
    expect(world.h.held).toHaveLength(1);
    expect(world.at(1).told).toBeUndefined();
    world.h.isHolding = false;
    world.h.release();
    world.h.failing = "store.failing";
    world.pass(3_000);
    expect(world.h.views.instances("prod").some(({ status }) => status === "Draining")).toBe(true);
    world.h.failing = undefined;
    world.pass(40_000);
    expect(world.view.state).toBe("done");
  });

  test("takes the standby of a pair first, so that users move once", () => {
    const world = new RollingWorld({ instances: 2, devices: 4, mode: "active-standby" });
    const [carrying, standby] = world.h.views.instances("prod").toSorted((a, b) => b.sessions - a.sessions);
    expect([carrying?.sessions, standby?.sessions]).toEqual([4, 0]);
    world.restart();
    world.pass(60_000);
    expect(world.view.steps.map(({ instance }) => instance)).toEqual([standby?.name, carrying?.name]);
    expect(world.view.state).toBe("done");
    const moves = world.h.store.audit.filter(({ action }) => action === "sessions.move");
    expect(moves).toHaveLength(1);
  });
});

describe("is refused", () => {
  const ask = (world: RollingWorld, minActive?: number) =>
    world.h.ask({
      ...({ command: "connector.restart", connector: "prod" } as const),
      ...(minActive === undefined ? {} : { minActive }),
    });
  const problem = (answer: ReturnType<typeof ask>) => (answer.ok ? "" : String(answer.failure.facts.problem));

  test("for a standalone connector, unless none need be Active: then its users stay connected", () => {
    const world = new RollingWorld({ instances: 1, devices: 4, mode: "standalone" });
    expect(problem(ask(world))).toMatch(/standalone.*min-active 0/);
    expect(ask(world, 0).ok).toBe(true);
    const before = world.devices.map(({ device }) => device.attachment);
    world.pass(20_000);
    expect(world.view.state).toBe("done");
    expect(world.at(1).ended).toBe(1);
    expect(world.devices.map(({ device }) => device.attachment)).toEqual(before);
  });

  test("while one runs, and not after it", () => {
    const world = new RollingWorld({ devices: 0 });
    world.restart();
    expect(problem(ask(world))).toMatch(/already/);
    world.pass(60_000);
    expect(world.view.state).toBe("done");
    expect(ask(world).ok).toBe(true);
  });

  test("where more must stay Active than can", () => {
    const world = new RollingWorld({ devices: 0 });
    expect(problem(ask(world, 3))).toMatch(/3 of its instances are Active, and 3 must stay so/);
    expect(ask(world, 2).ok).toBe(true);
  });

  test("where no instance can be restarted, with why", () => {
    const world = new RollingWorld({ instances: 2, devices: 0 });
    world.at(1).returns = false;
    world.at(1).die();
    world.at(2).isAble = false;
    world.at(2).report();
    const answer = ask(world);
    expect(answer.ok ? {} : answer.failure.facts).toMatchObject({
      instances: expect.stringMatching(/: offline, .*: unable$/),
    });
  });

  test("where there is no such connector", () => {
    const world = new RollingWorld({ instances: 1, devices: 0 });
    expect(world.h.refused({ command: "connector.restart", connector: "other" })).toBe("admin.not-found");
    expect(world.h.refused({ command: "connector.restart.cancel", connector: "other" })).toBe(
      "admin.not-found",
    );
  });
});

test("the connector takes the memory of its restart with it", () => {
  const world = new RollingWorld({ instances: 1, devices: 0 });
  world.restart(0);
  world.pass(20_000);
  world.h.do({ command: "instance.remove", instance: world.at(1).name });
  world.h.do({ command: "connector.remove", connector: "prod" });
  expect(world.h.store.saved().restart).toEqual([]);
});
