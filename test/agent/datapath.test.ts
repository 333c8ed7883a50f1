import { describe, expect, test } from "vitest";
import { DataPathControl, type DataPathEffect } from "../../agent/core/datapath.ts";
import type { DataPathPlan } from "../../agent/core/ports.ts";
import { Failure, failed, success } from "../../protocol/failures.ts";
import { at, ipv4Prefix } from "./fixture.ts";

const plan: DataPathPlan = { routes: [ipv4Prefix], peers: [], resources: new Map(), dns: undefined };
const held = {
  routes: [ipv4Prefix],
  peers: 0,
  drift: [],
  resolver: undefined,
  silent: [],
  lingering: undefined,
};

function applyIn(effects: readonly DataPathEffect[]): number | undefined {
  return effects.find((effect) => effect.do === "apply")?.effectId;
}

/** The apply it starts at one moment. */
function next(control: DataPathControl, ms: number): number | undefined {
  return applyIn(control.next(() => plan, at(ms)));
}

describe("the data path", () => {
  test("one apply at a time: what changes meanwhile is one more, whatever its number", () => {
    const control = new DataPathControl();
    const first = next(control, 0) ?? 0;
    for (let i = 0; i < 100; i++) {
      control.touch();
      expect(next(control, i)).toBeUndefined();
    }
    control.applied(first, success(held), at(100));
    const second = next(control, 100);
    expect(second).toBeDefined();
    control.applied(second ?? 0, success(held), at(101));
    expect(next(control, 101)).toBeUndefined();
    expect(control.inSync).toBe(true);
  });

  test("a newer plan on its way does not end serving; an apply that fails does", () => {
    const control = new DataPathControl();
    expect(control.isServing).toBe(false);
    control.applied(next(control, 0) ?? 0, success(held), at(1));
    control.touch();
    const second = next(control, 2) ?? 0;
    expect(control).toMatchObject({ isServing: true, inSync: false });
    control.applied(second, failed("datapath.failing", { command: "wg" }), at(3));
    expect(control.isServing).toBe(false);
    expect(control.problems()).toEqual([{ code: "datapath.failing", facts: { command: "wg" } }]);
    expect(control.routed).toEqual(new Set([ipv4Prefix]));
  });

  test("waits longer and longer after failures, up to half a minute", () => {
    const control = new DataPathControl();
    let nowMs = 0;
    const waits = Array.from({ length: 9 }, () => {
      const effectId = next(control, nowMs) ?? 0;
      control.touch();
      control.applied(effectId, failed("datapath.failing"), at(nowMs));
      const retry = control.problems().length === 1 ? (control.retryAtMs ?? nowMs) : nowMs;
      expect(next(control, retry - 1)).toBeUndefined();
      const waitMs = retry - nowMs;
      nowMs = retry;
      return waitMs;
    });
    expect(waits).toEqual([500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
  });

  test("an apply that reads back something else has failed", () => {
    const control = new DataPathControl();
    control.applied(next(control, 0) ?? 0, success({ ...held, drift: ["chain forward is missing"] }), at(1));
    const facts = { "read back": "chain forward is missing" };
    expect(control.problems()).toEqual([{ code: "datapath.failing", facts }]);
    expect(next(control, 2)).toBeUndefined();
  });

  test("compares every 10 s, and brings back what differs, which is shown for ten minutes", () => {
    const control = synced();
    const [first] = comparisons(control, 1);
    expect(comparisons(control, 60_000)).toEqual([]);
    control.compared(first ?? 0, success({ ...held, drift: ["table inet connector is missing"] }), at(2));
    control.applied(next(control, 3) ?? 0, success(held), at(4));
    const changed = "table inet connector is missing";
    expect(control.problems()).toEqual([{ code: "datapath.drifted", facts: { changed } }]);
    const [second] = comparisons(control, 10_002);
    control.compared(second ?? 0, success({ ...held, drift: [changed] }), at(10_003));
    control.applied(next(control, 10_004) ?? 0, success(held), at(10_005));
    expect(control.problems()).toEqual([{ code: "datapath.drifted", facts: { changed, times: 2 } }]);
    expect(control.nextDeadline()).toBe(20_003);
    const [third] = comparisons(control, 610_003);
    control.compared(third ?? 0, success(held), at(610_003));
    expect(control.problems()).toEqual([]);
    expect(next(control, 610_004)).toBeUndefined();
  });

  test("with many peers it is compared less often, and news bring it forward", () => {
    const control = synced();
    const [first] = comparisons(control, 1_000);
    control.compared(first ?? 0, success({ ...held, peers: 1_400 }), at(1_100));
    expect(control.nextDeadline()).toBe(71_100);
    control.look();
    expect(comparisons(control, 1_101)).toHaveLength(1);
  });

  test("what cannot be compared is applied again", () => {
    const control = synced();
    const [first] = comparisons(control, 1);
    control.compared(first ?? 0, failed("datapath.failing", { command: "nft -j list" }), at(2));
    expect(next(control, 3)).toBeDefined();
  });

  test("a resolver that does not run is told beside a data path that serves", () => {
    const control = new DataPathControl();
    const resolver = new Failure("datapath.failing", { command: "dnsmasq -C x", error: "is not installed" });
    const lingering = new Failure("datapath.failing", { command: "conntrack -L" });
    control.applied(
      next(control, 0) ?? 0,
      success({ ...held, resolver, silent: ["172.18.0.2"], lingering }),
      at(1),
    );
    expect(control.isServing).toBe(true);
    expect(control.problems()).toEqual([
      { code: "datapath.lingering", facts: lingering.facts },
      { code: "resolver.failing", facts: resolver.facts },
      { code: "resolver.upstream-silent", subject: "172.18.0.2", facts: { server: "172.18.0.2" } },
    ]);
  });

  test("nothing is applied, and nothing compared, before there can be a plan", () => {
    const control = new DataPathControl();
    expect(control.next(() => undefined, at(0))).toEqual([]);
    expect(next(control, 1)).toBeDefined();
  });
});

function synced(): DataPathControl {
  const control = new DataPathControl();
  control.applied(next(control, 0) ?? 0, success(held), at(0));
  return control;
}

function comparisons(control: DataPathControl, ms: number): number[] {
  const effects = control.next(() => plan, at(ms));
  return effects.flatMap((effect) => (effect.do === "compare" ? [effect.effectId] : []));
}
