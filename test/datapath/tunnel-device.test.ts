import { describe, expect, test } from "vitest";
import { namesText } from "../../device/adapters/tunnel-names.ts";
import type { Attached } from "../../device/core/attachment.ts";
import { Probe, type ProbeEffect, type ProbeInput } from "../../device/core/probe.ts";
import {
  DeviceTunnel,
  type TunnelEffect,
  type TunnelInput,
  type TunnelState,
} from "../../device/core/tunnel.ts";
import { echoTarget, tunnelPlan } from "../../device/core/tunnel-plan.ts";
import { failed, success } from "../../protocol/failures.ts";
import { attachedTo, end } from "./tunnel-attached.ts";
import { keyOf } from "./wireguard-model.ts";

const at = (ms: number) => ({ monotonicMs: ms, wallMs: ms });

describe("the device's plan", () => {
  test("sends the services and the instance's own end into the tunnel, from the leased addresses", () => {
    expect(tunnelPlan(attachedTo(1), undefined, end)).toEqual({
      peers: [
        {
          publicKey: keyOf(1),
          allowedIps: ["100.64.0.1/32", "fd01::1/128", "10.99.0.0/16", "fd99::/64"],
          endpoint: "192.0.2.1:51820",
          keepaliveS: 25,
        },
      ],
      network: {
        mtu: 1420,
        addresses: ["10.0.1.17/32", "2001:db8:1::11/128"],
        routes: [
          { to: "100.64.0.1/32", source: "10.0.1.17" },
          { to: "fd01::1/128", source: "2001:db8:1::11" },
          { to: "10.99.0.0/16", source: "10.0.1.17" },
          { to: "fd99::/64", source: "2001:db8:1::11" },
        ],
      },
      names: { servers: ["100.64.0.1", "fd01::1"], domains: ["app.example.internal", "example.internal"] },
    });
  });

  test("swallows nothing of a family it has no address of", () => {
    const onlyV6: Attached = { ...attachedTo(1), ipv4: undefined };
    const { network, names } = tunnelPlan(onlyV6, undefined, end);
    expect(network.routes.map(({ to }) => to)).toEqual(["fd01::1/128", "fd99::/64"]);
    expect(names?.servers).toEqual(["fd01::1"]);
    expect(echoTarget(onlyV6, end)).toBe("fd01::1");
  });

  test("a path on trial has a peer and nothing else", () => {
    const alone = tunnelPlan(attachedTo(1), undefined, end);
    const both = tunnelPlan(attachedTo(1), attachedTo(2), end);
    expect(both).toEqual({
      ...alone,
      peers: [
        ...alone.peers,
        { publicKey: keyOf(2), allowedIps: [], endpoint: "192.0.2.2:51820", keepaliveS: 25 },
      ],
    });
  });
});

/** A core with a world that applies at once, and answers handshakes as the test says. */
class TunnelWorld {
  readonly core = new DeviceTunnel(end);
  readonly applies: Extract<TunnelEffect, { do: "apply" }>[] = [];
  readonly carried: (string | undefined)[] = [];
  readonly told: string[] = [];
  /** Keys of instances that answer. */
  readonly answering = new Set<string>();
  failing = false;
  nowMs = 1_000;

  post(input: TunnelInput): void {
    for (const effect of this.core.handle(input, at(this.nowMs))) this.#perform(effect);
  }

  want(attachment: Attached | undefined): void {
    this.post({ kind: "want", attachment });
  }

  run(ms: number): void {
    const endMs = this.nowMs + ms;
    for (let left = 10_000; left > 0; left--) {
      const dueMs = this.core.nextDeadline();
      if (dueMs === undefined || dueMs > endMs) break;
      this.nowMs = Math.max(this.nowMs, dueMs);
      this.post({ kind: "tick" });
    }
    this.nowMs = endMs;
  }

  get last() {
    return this.applies.at(-1);
  }

  #perform(effect: TunnelEffect): void {
    const { nowMs } = this;
    switch (effect.do) {
      case "apply":
        this.applies.push(effect);
        this.post({
          kind: "applied",
          effectId: effect.effectId,
          result: this.failing ? failed("datapath.failing", { at: nowMs }) : success(undefined),
        });
        return;
      case "readHandshake": {
        const { effectId } = effect;
        this.post({ kind: "handshakeRead", effectId, isDone: this.answering.has(effect.publicKey) });
        return;
      }
      case "carries":
        this.carried.push(effect.path?.instance);
        return;
      case "tell":
        this.told.push(effect.failure.code);
    }
  }
}

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
    expect(world.told).toEqual(["datapath.failing"]);
    expect(world.applies.length).toBeGreaterThan(4);
    expect(world.applies.length).toBeLessThan(12);
    world.failing = false;
    world.answering.add(keyOf(1));
    world.run(20_000);
    expect(world.core.state.kind).toBe("up");
  });

  test("what somebody else changed is brought back", () => {
    const world = worlds.up();
    const before = world.applies.length;
    world.post({ kind: "changed" });
    expect(world.applies.length).toBe(before + 1);
  });
});

describe("the probe", () => {
  /** Answers what is asked by what the test says has come back. */
  function watching() {
    const probe = new Probe();
    const told: [number, string][] = [];
    const world = { rxBytes: 0, echoes: true, nowMs: 0, asked: 0 };
    const post = (input: ProbeInput): void => {
      for (const effect of probe.handle(input, at(world.nowMs))) perform(effect);
    };
    function perform(effect: ProbeEffect): void {
      switch (effect.do) {
        case "readReceived":
          post({ kind: "received", effectId: effect.effectId, rxBytes: world.rxBytes });
          return;
        case "echo": {
          world.asked += 1;
          const { effectId } = effect;
          const answered = world.echoes;
          // An answer is traffic, and silence takes its time.
          if (answered) world.rxBytes += 100;
          else world.nowMs += 800;
          post({ kind: "echoed", effectId, answered });
          return;
        }
        case "tell":
          told.push([world.nowMs, effect.verdict]);
      }
    }
    const run = (ms: number, each: () => void = () => undefined) => {
      const endMs = world.nowMs + ms;
      for (;;) {
        const dueMs = probe.nextDeadline();
        if (dueMs === undefined || dueMs > endMs) break;
        world.nowMs = Math.max(world.nowMs, dueMs);
        each();
        post({ kind: "tick" });
      }
      world.nowMs = endMs;
    };
    post({ kind: "watch", path: "s/1" });
    return { probe, world, told, post, run };
  }

  test("asks nothing while traffic comes back", () => {
    const { world, told, run } = watching();
    run(10_000, () => {
      world.rxBytes += 100;
    });
    expect(world.asked).toBe(1);
    expect(told).toEqual([[0, "alive"]]);
  });

  test("asks each second while none does", () => {
    const { world, run } = watching();
    run(10_000);
    expect(world.asked).toBe(11);
  });

  test("a path that goes silent is dead within three seconds, told once, and alive again when it answers", () => {
    const { world, told, run } = watching();
    run(5_000);
    expect(world.rxBytes).toBe(600);
    world.echoes = false;
    run(10_000);
    world.echoes = true;
    run(2_000);
    expect(told.map(([, verdict]) => verdict)).toEqual(["alive", "dead", "alive"]);
    expect(told[1]?.[0]).toBeLessThanOrEqual(8_000);
    expect(told[1]?.[0]).toBeGreaterThanOrEqual(7_500);
  });

  test("a host that was asleep has no opinion", () => {
    const { world, told, run } = watching();
    run(5_000);
    world.nowMs += 3_600_000;
    run(2_000);
    expect(told.map(([, verdict]) => verdict)).toEqual(["alive"]);
  });

  test("answers about an earlier path are not about this one", () => {
    const probe = new Probe();
    const [first] = probe.handle({ kind: "watch", path: "s/1" }, at(0));
    expect(first).toMatchObject({ do: "readReceived" });
    probe.handle({ kind: "watch", path: "s/2" }, at(10));
    const late = {
      kind: "received",
      effectId: first?.do === "readReceived" ? first.effectId : 0,
      rxBytes: 5,
    } as const;
    expect(probe.handle(late, at(20))).toEqual([]);
    expect(probe.handle({ kind: "watch", path: undefined }, at(30))).toEqual([]);
    expect(probe.nextDeadline()).toBeUndefined();
  });
});

describe("a resolv.conf", () => {
  const theirs = "search home\nnameserver 192.168.1.1\n";
  const plan = { servers: ["100.64.0.1"], domains: ["example.internal"] };

  test("has our servers first, once, and is left as it was", () => {
    const ours = namesText(theirs, plan);
    expect(ours.split("\n").filter((line) => line.startsWith("nameserver"))).toEqual([
      "nameserver 100.64.0.1",
      "nameserver 192.168.1.1",
    ]);
    expect(namesText(ours, plan)).toBe(ours);
    expect(namesText(ours, undefined)).toBe(theirs);
    expect(namesText(theirs, undefined)).toBe(theirs);
  });

  test("what others write beside our lines stays", () => {
    const later = `options edns0\n${namesText(theirs, plan)}nameserver 9.9.9.9\n`;
    expect(namesText(later, undefined)).toBe(`options edns0\n${theirs}nameserver 9.9.9.9\n`);
  });
});
