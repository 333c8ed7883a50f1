import { describe, expect, test } from "vitest";
import { Conditions, type Problem } from "../../agent/core/conditions.ts";
import { type StatusFacts, statusOf } from "../../agent/core/status.ts";
import { failureCodes, failureEntry } from "../../protocol/failures.ts";
import type { DrainReason } from "../../protocol/specs.ts";
import { Condition, type InstanceStatus } from "../../protocol/view.ts";
import { at } from "./fixture.ts";

const codes = (conditions: Conditions, ms: number) => conditions.shown(at(ms)).map(({ code }) => code);

describe("conditions", () => {
  test("a problem is shown since its beginning, and is gone when it is over", () => {
    const conditions = new Conditions();
    conditions.update([{ code: "pool.full", subject: "pool1", facts: { pool: "pool1" } }], at(10));
    conditions.update([{ code: "pool.full", subject: "pool1", facts: { pool: "pool1" } }], at(99));
    expect(conditions.shown(at(99))).toEqual([
      {
        code: "pool.full",
        severity: "warning",
        sinceMs: at(10).wallMs,
        subject: "pool1",
        text: "The pool has no free address (pool pool1)",
        hint: failureEntry("pool.full").hint,
      },
    ]);
    conditions.update([], at(100));
    expect(conditions.shown(at(100))).toEqual([]);
    conditions.update([{ code: "pool.full", subject: "pool1" }], at(200));
    expect(conditions.shown(at(200))[0]?.sinceMs).toBe(at(200).wallMs);
  });

  test("what flaps is shown only when it has lasted, and says when that will be", () => {
    const conditions = new Conditions();
    const lost: Problem = { code: "link.lost" };
    conditions.update([lost], at(0));
    expect(codes(conditions, 0)).toEqual([]);
    expect(conditions.nextDeadline(at(0))).toBe(3_000);
    conditions.update([lost], at(2_999));
    expect(codes(conditions, 2_999)).toEqual([]);
    expect(codes(conditions, 3_000)).toEqual(["link.lost"]);
    expect(conditions.nextDeadline(at(3_000))).toBeUndefined();
  });

  test("an effect is hidden while its cause is shown", () => {
    const conditions = new Conditions();
    const unread: Problem = { code: "prefix.unread", subject: "172.18.140.16/28" };
    conditions.update([unread, { code: "imds.unreachable" }], at(0));
    expect(codes(conditions, 60_000)).toEqual(["imds.unreachable"]);
    conditions.update([unread], at(60_000));
    expect(codes(conditions, 60_000)).toEqual(["prefix.unread"]);
  });

  test("worst first, then oldest first", () => {
    const conditions = new Conditions();
    const info: Problem = { code: "instance.draining" };
    const warning: Problem = { code: "pool.full", subject: "a" };
    conditions.update([info, warning], at(0));
    conditions.update([info, { code: "pool.full", subject: "b" }, warning, { code: "store.full" }], at(5));
    expect(conditions.shown(at(5)).map(({ code, subject }) => subject ?? code)).toEqual([
      "store.full",
      "a",
      "b",
      "instance.draining",
    ]);
  });

  test("there are never more, nor longer ones, than the protocol takes", () => {
    const conditions = new Conditions();
    const long = "x".repeat(5_000);
    const many = Array.from(
      { length: 1_000 },
      (_, i): Problem => ({
        code: failureCodes[i % failureCodes.length] ?? "internal",
        subject: `${i}${long}`,
        facts: { long },
      }),
    );
    conditions.update(many, at(0));
    const shown = conditions.shown(at(1e9));
    expect(shown.length).toBeLessThanOrEqual(256);
    for (const condition of shown) expect(Condition.safeParse(condition).success).toBe(true);
  });
});

describe("the status", () => {
  const active: StatusFacts = {
    enrolled: true,
    linkUp: true,
    holds: new Set(),
    verifiedPools: 1,
    dataPathInSync: true,
  };
  test.each<[expected: InstanceStatus, change: Partial<StatusFacts>]>([
    ["Active", {}],
    ["Online", { verifiedPools: 0 }],
    ["Online", { dataPathInSync: false }],
    ["Draining", { holds: new Set<DrainReason>(["cli"]) }],
    ["Draining", { holds: new Set<DrainReason>(["admin"]), verifiedPools: 0, dataPathInSync: false }],
    ["Offline", { linkUp: false }],
    ["Offline", { linkUp: false, holds: new Set<DrainReason>(["cli"]) }],
    ["Configured", { enrolled: false }],
    ["Configured", { enrolled: false, linkUp: false, verifiedPools: 0 }],
  ])("%s: %o", (expected, change) => {
    expect(statusOf({ ...active, ...change })).toBe(expected);
  });
});
