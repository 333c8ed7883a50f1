import { describe, expect, test } from "vitest";
import { DataPathControl, type DataPathEffect } from "../../agent/core/datapath.ts";
import type { DataPathPlan } from "../../agent/core/ports.ts";
import { failed, success } from "../../protocol/failures.ts";
import { at, ipv4Prefix } from "./fixture.ts";

const plan: DataPathPlan = { routes: [ipv4Prefix], peers: [], resources: new Map(), dns: undefined };
const held = { routes: [ipv4Prefix], peers: 0, inSync: true };

function applyIn(effects: readonly DataPathEffect[]): number | undefined {
  return effects.find((effect) => effect.do === "apply")?.effectId;
}

/** Its effects of one moment, without the readings of activity. */
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
    control.applied(next(control, 0) ?? 0, success({ ...held, inSync: false }), at(1));
    expect(control.problems()).toMatchObject([{ code: "datapath.failing" }]);
    expect(next(control, 2)).toBeUndefined();
  });

  test("activity is read every 15 s, one reading at a time", () => {
    const control = new DataPathControl();
    const readings = (ms: number) =>
      control
        .next(() => plan, at(ms))
        .flatMap((effect) => (effect.do === "readActivity" ? [effect.effectId] : []));
    const [first] = readings(0);
    expect(readings(60_000)).toEqual([]);
    expect(control.activityRead(first ?? 0, at(60_000))).toBe(true);
    expect(control.activityRead(first ?? 0, at(60_000))).toBe(false);
    expect(readings(74_999)).toEqual([]);
    expect(readings(75_000)).toHaveLength(1);
  });
});
