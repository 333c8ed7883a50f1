import { describe, expect, test } from "vitest";
import { tunnelPlan } from "../../device/core/tunnel-plan.ts";
import type { TunnelState } from "../../device/core/tunnel-state.ts";
import { Failure } from "../../protocol/failures.ts";
import { attachedTo, covers, end } from "./tunnel-attached.ts";
import { TunnelWorld } from "./tunnel-world.ts";
import { keyOf } from "./wireguard-model.ts";

/** A world in the state, where instance 1 carries or is wanted, and 2 is moved to. */
const worlds: Record<TunnelState["kind"], () => TunnelWorld> = {
  down: () => new TunnelWorld(),
  opening() {
    const world = new TunnelWorld();
    world.want(attachedTo(1));
    return world;
  },
  up() {
    const world = new TunnelWorld();
    world.answering.add(keyOf(1));
    world.want(attachedTo(1));
    world.run(100);
    return world;
  },
  moving() {
    const world = worlds.up();
    world.want(attachedTo(2));
    return world;
  },
};

const steps = {
  wantNone: (world: TunnelWorld) => world.want(undefined),
  wantFirst: (world: TunnelWorld) => world.want(attachedTo(1)),
  wantSecond: (world: TunnelWorld) => world.want(attachedTo(2)),
  wantThird: (world: TunnelWorld) => world.want(attachedTo(3)),
  allAnswer(world: TunnelWorld) {
    for (const n of [1, 2, 3]) world.answering.add(keyOf(n));
    world.run(5_000);
  },
  firstIsDead: (world: TunnelWorld) =>
    world.post({ kind: "verdict", path: `${attachedTo(1).session}/1`, verdict: "dead" }),
} as const;

describe("the device's tunnel", () => {
  // State before, then for each step: the state after, and who carries the traffic.
  const table: Record<
    TunnelState["kind"],
    Record<keyof typeof steps, [TunnelState["kind"], number | undefined]>
  > = {
    down: {
      wantNone: ["down", undefined],
      wantFirst: ["opening", 1],
      wantSecond: ["opening", 2],
      wantThird: ["opening", 3],
      allAnswer: ["down", undefined],
      firstIsDead: ["down", undefined],
    },
    opening: {
      wantNone: ["down", undefined],
      wantFirst: ["opening", 1],
      wantSecond: ["opening", 2],
      wantThird: ["opening", 3],
      allAnswer: ["up", 1],
      firstIsDead: ["opening", 1],
    },
    up: {
      wantNone: ["down", undefined],
      wantFirst: ["up", 1],
      wantSecond: ["moving", 1],
      wantThird: ["moving", 1],
      allAnswer: ["up", 1],
      firstIsDead: ["up", 1],
    },
    moving: {
      wantNone: ["down", undefined],
      wantFirst: ["up", 1],
      wantSecond: ["moving", 1],
      wantThird: ["moving", 1],
      allAnswer: ["up", 2],
      firstIsDead: ["opening", 2],
    },
  };
  const cases = Object.entries(table).flatMap(([state, row]) =>
    Object.entries(row).map(([step, after]) => ({ state, step, after })),
  );

  test.each(cases)("$state, $step", ({ state, step, after: [kind, carrier] }) => {
    const world = worlds[state as TunnelState["kind"]]();
    steps[step as keyof typeof steps](world);
    expect(world.core.state.kind).toBe(kind);
    expect(world.carried.at(-1)).toBe(carrier && `aws-us-vir-con-0000${carrier}`);
  });

  test("makes before it breaks: the old path is whole until the new one has answered", () => {
    const world = worlds.moving();
    world.run(10_000);
    for (const { plan } of world.applies.slice(1)) {
      expect(plan.network.addresses).toEqual(["10.0.1.17/32", "2001:db8:1::11/128"]);
      expect(plan.peers.find(({ publicKey }) => publicKey === keyOf(1))?.allowedIps).toHaveLength(4);
    }
    world.answering.add(keyOf(2));
    world.run(5_000);
    expect(world.last?.plan).toEqual(tunnelPlan(attachedTo(2), undefined, end));
  });

  test("a path that was found dead is not kept", () => {
    const world = worlds.up();
    steps.firstIsDead(world);
    world.want(attachedTo(2));
    expect(world.core.state.kind).toBe("opening");
  });

  test("an instance that does not answer is asked again, and less and less often", () => {
    const world = worlds.opening();
    const before = world.applies.length;
    world.run(10_000);
    const again = world.applies.slice(before);
    expect(new Set(again.map(({ afresh }) => afresh))).toEqual(new Set([keyOf(1)]));
    expect(again.length).toBeGreaterThan(8);
    expect(again.length).toBeLessThan(15);
    expect(again.every(({ plan }) => plan.peers.length === 1)).toBe(true);
  });

  test("on a slow host, too, a handshake is looked for before the next one is begun", () => {
    const world = worlds.down();
    world.applyMs = 600;
    world.answering.add(keyOf(1));
    world.want(attachedTo(1));
    world.run(5_000);
    expect(world.core.state.kind).toBe("up");
    expect(world.applies.every(({ afresh }) => afresh === undefined)).toBe(true);
  });

  test("a path that answers an echo is kept while the next one is tried, whether its handshake was seen or not", () => {
    const world = worlds.opening();
    world.post({ kind: "verdict", path: `${attachedTo(1).session}/1`, verdict: "alive" });
    expect(world.core.state.kind).toBe("up");
    world.want(attachedTo(2));
    expect(world.core.state.kind).toBe("moving");
  });

  test("new addresses from the same instance are set at once, and probed anew", () => {
    const world = worlds.up();
    const renewed = { ...attachedTo(1), epoch: 9, ipv4: "10.0.1.30" };
    world.want(renewed);
    expect(world.core.state).toEqual({ kind: "up", on: renewed });
    expect(world.last).toMatchObject({ afresh: undefined });
    expect(world.last?.plan.network.addresses[0]).toBe("10.0.1.30/32");
    expect(world.carried).toHaveLength(2);
  });

  test("says nothing and touches nothing before it is told what is wanted; then takes down what an earlier process left", () => {
    const world = worlds.down();
    world.run(10_000);
    expect(world.applies).toEqual([]);
    world.want(undefined);
    world.want(undefined);
    expect(world.applies.map(({ plan }) => plan.peers)).toEqual([[]]);
  });

  test("a failure is told once, and tried again until it works", () => {
    const world = worlds.down();
    world.failing = true;
    world.want(attachedTo(1));
    world.run(20_000);
    expect(world.told).toEqual(["tunnel.failing"]);
    expect(world.applies.length).toBeGreaterThan(4);
    expect(world.applies.length).toBeLessThan(12);
    world.failing = false;
    world.answering.add(keyOf(1));
    world.run(20_000);
    expect(world.core.state.kind).toBe("up");
    expect(world.told).toEqual(["tunnel.failing", "fine"]);
  });

  test("names that cannot be set keep nobody from the services: told once, and tried again", () => {
    const world = worlds.down();
    world.names = new Failure("tunnel.names-failing", { command: "resolvectl dns", error: "not installed" });
    world.answering.add(keyOf(1));
    world.want(attachedTo(1));
    world.run(20_000);
    expect(world.core.state.kind).toBe("up");
    expect(world.carried).toEqual(["aws-us-vir-con-00001"]);
    expect(world.told).toEqual(["tunnel.names-failing"]);
    const before = world.applies.length;
    world.run(10_000);
    expect(world.applies.length).toBe(before + 2);
  });

  test("what others change unseen, as a DHCP client the name servers, is put right within half a minute", () => {
    const world = worlds.up();
    const before = world.applies.length;
    world.run(60_000);
    expect(world.applies.length).toBe(before + 2);
    world.want(undefined);
    world.run(60_000);
    expect(world.applies.length).toBe(before + 3);
  });

  test("a dead instance that is wanted all the same is asked afresh: it may have forgotten the keys", () => {
    const world = worlds.up();
    const before = world.applies.length;
    steps.firstIsDead(world);
    // The handshake of before would still be seen.
    expect(world.applies[before]).toMatchObject({ afresh: keyOf(1) });
    world.answering.clear();
    world.post({ kind: "verdict", path: `${attachedTo(1).session}/1`, verdict: "alive" });
    steps.firstIsDead(world);
    world.run(5_000);
    expect(world.applies.slice(before).filter(({ afresh }) => afresh === keyOf(1)).length).toBeGreaterThan(4);
    world.answering.add(keyOf(1));
    world.run(5_000);
    expect(world.core.state).toEqual({ kind: "up", on: attachedTo(1) });
  });

  test("a new attachment does not wait for the end of an old one's backoff", () => {
    const world = worlds.down();
    world.failing = true;
    world.want(attachedTo(1));
    world.run(20_000);
    const before = world.applies.length;
    world.want(attachedTo(2));
    expect(world.applies.length).toBe(before + 1);
  });

  test("goes around the addresses it is told, and around the instances it dials", () => {
    const world = worlds.up();
    const everything = { routes: ["0.0.0.0/0"] };
    world.want(attachedTo(1, everything));
    world.post({ kind: "outside", addresses: ["203.0.113.10"] });
    expect(world.core.isSettled).toBe(true);
    world.want(attachedTo(2, everything));
    const routes = world.last?.plan.network.routes.map(({ to }) => to) ?? [];
    for (const address of ["192.0.2.1", "192.0.2.2", "203.0.113.10"])
      expect(covers(routes, address)).toBe(false);
    expect(covers(routes, "203.0.113.11")).toBe(true);
  });

  test("what somebody else changed is brought back", () => {
    const world = worlds.up();
    const before = world.applies.length;
    world.post({ kind: "changed" });
    expect(world.applies.length).toBe(before + 1);
    expect(world.last?.looks).toBe(true);
  });

  test("a dead path is left without a look at the host, which is taken when the traffic is back", () => {
    const world = worlds.up();
    world.run(60_000);
    const before = world.applies.length;
    steps.firstIsDead(world);
    world.want(attachedTo(2));
    world.answering.add(keyOf(2));
    world.run(1_000);
    expect(world.core.state).toEqual({ kind: "up", on: attachedTo(2) });
    expect(world.applies.slice(before).filter(({ looks }) => looks)).toEqual([]);
    world.run(2_000);
    expect(world.last?.looks).toBe(true);
  });

  test("an instance that does not answer for seconds is tried with a look: it may be the host", () => {
    const world = worlds.opening();
    const before = world.applies.length;
    world.run(5_000);
    const looks = world.applies.slice(before).map(({ looks }) => looks);
    expect(looks.slice(0, 8)).toEqual(Array(8).fill(false));
    expect(looks.length).toBeGreaterThan(8);
    expect(looks.slice(8).every((one) => one)).toBe(true);
  });

  test("a near instance that does not answer at once is asked again at once", () => {
    const world = worlds.up();
    const rttMs = 20;
    world.post({ kind: "verdict", path: `${attachedTo(1).session}/1`, verdict: "dead", rttMs });
    const begunMs: number[] = [];
    world.want(attachedTo(2));
    for (let seen = world.applies.length; begunMs.length < 4; world.run(10)) {
      if (world.applies.length > seen) begunMs.push(world.nowMs);
      seen = world.applies.length;
    }
    const waits = begunMs.map((ms, i) => ms - (begunMs[i - 1] ?? ms)).slice(1);
    // Three round trips and what a host takes, doubled, and then what everybody waits.
    expect(waits).toEqual([240, 250, 250]);
  });

  test("what failed, or changed while it was applied, is looked at", () => {
    const world = worlds.up();
    world.failing = true;
    world.want(attachedTo(2));
    expect(world.last?.looks).toBe(false);
    world.run(1_000);
    expect(world.last?.looks).toBe(true);
  });
});
