import { describe, expect, test } from "vitest";
import { nextStage, obstacle, type RestartFacts, type Standing } from "../../controller/core/restart-next.ts";
import type { RestartStage, SkipReason, StopReason } from "../../controller/core/restart-row.ts";
import { coreDefaults } from "../../controller/core/settings.ts";

const nowMs = 9_000;
const [old, another] = ["old", "another"];
const { drainDeadlineMs, restartDrainMs, restartReturnMs } = coreDefaults;

const active: Standing = { status: "Active", isDrained: false, isGone: false, process: old };
const well: RestartFacts = {
  ...{ standing: active, hasReported: true, sessions: 0, withoutPlace: 0 },
  ...{ activeOthers: 2, minActive: 2, forMs: 0 },
};
const stages = {
  queued: { is: "queued" },
  draining: { is: "draining", process: old, sinceMs: 1, sessions: 3 },
  restarting: { is: "restarting", process: old, sinceMs: 1, wasDrained: true },
  skipped: { is: "skipped", why: "offline", atMs: 1 },
  restarted: { is: "restarted", atMs: 1 },
  stopped: { is: "stopped", why: "no-room", atMs: 1 },
  cancelled: { is: "cancelled", atMs: 1 },
} as const satisfies Record<RestartStage["is"], RestartStage>;

const standings = {
  active,
  "active, another process": { ...active, process: another },
  "active, an older agent": { ...active, process: null },
  "drained by an administrator": { ...active, status: "Draining", isDrained: true },
  "drained by an administrator, another process": {
    ...{ ...active, status: "Draining", isDrained: true, process: another },
  },
  "draining by its own word": { ...active, status: "Draining" },
  online: { ...active, status: "Online" },
  "online, another process": { ...active, status: "Online", process: another },
  condemned: { ...active, isGone: true },
  offline: { ...active, status: "Offline", process: null },
  removed: undefined,
} as const satisfies Record<string, Standing | undefined>;
type Case = keyof typeof standings;

/** The stage it goes to, with why; – stays. */
type Told = "–" | "draining" | "restarting" | "restarted" | `skipped ${SkipReason}` | `stopped ${StopReason}`;

function next(stage: RestartStage, facts: Partial<RestartFacts>): Told {
  const after = nextStage(stage, { ...well, ...facts }, coreDefaults, nowMs);
  if (after === stage) return "–";
  return ("why" in after ? `${after.is} ${after.why}` : after.is) as Told;
}

const facts = (name: Case): Partial<RestartFacts> => ({
  standing: standings[name],
  hasReported: name !== "offline" && name !== "removed",
});

describe("an instance in a rolling restart", () => {
  const table: Record<Case, { queued: Told; late: Told; draining: Told; restarting: Told; overdue: Told }> = {
    active: {
      ...{ queued: "draining", late: "draining" },
      ...{ draining: "–", restarting: "–", overdue: "stopped not-ended" },
    },
    "active, another process": {
      ...{ queued: "draining", late: "draining" },
      ...{ draining: "restarting", restarting: "restarted", overdue: "restarted" },
    },
    "active, an older agent": {
      ...{ queued: "skipped unable", late: "skipped unable" },
      ...{ draining: "restarting", restarting: "restarted", overdue: "restarted" },
    },
    "drained by an administrator": {
      ...{ queued: "skipped drained", late: "skipped drained" },
      ...{ draining: "–", restarting: "–", overdue: "stopped not-ended" },
    },
    "drained by an administrator, another process": {
      ...{ queued: "skipped drained", late: "skipped drained" },
      ...{ draining: "restarting", restarting: "restarted", overdue: "restarted" },
    },
    "draining by its own word": {
      ...{ queued: "skipped draining", late: "skipped draining" },
      ...{ draining: "–", restarting: "–", overdue: "stopped not-ended" },
    },
    online: {
      ...{ queued: "–", late: "skipped not-active" },
      ...{ draining: "–", restarting: "–", overdue: "stopped not-ended" },
    },
    "online, another process": {
      ...{ queued: "–", late: "skipped not-active" },
      ...{ draining: "restarting", restarting: "–", overdue: "stopped not-active" },
    },
    condemned: {
      ...{ queued: "–", late: "skipped condemned" },
      ...{ draining: "–", restarting: "–", overdue: "stopped not-ended" },
    },
    offline: {
      ...{ queued: "–", late: "skipped offline" },
      ...{ draining: "–", restarting: "–", overdue: "stopped not-returned" },
    },
    removed: {
      ...{ queued: "skipped removed", late: "skipped removed" },
      ...{ draining: "skipped removed", restarting: "skipped removed", overdue: "skipped removed" },
    },
  };

  test.each(Object.keys(table) as Case[])("that is %s", (name) => {
    const late = { ...facts(name), forMs: restartReturnMs };
    expect({
      queued: next(stages.queued, facts(name)),
      late: next(stages.queued, late),
      draining: next(stages.draining, { ...facts(name), sessions: 3 }),
      restarting: next(stages.restarting, facts(name)),
      overdue: next(stages.restarting, late),
    }).toEqual(table[name]);
  });

  test.each(["skipped", "restarted", "stopped", "cancelled"] as const)("that is %s stays so", (is) => {
    for (const name of Object.keys(standings) as Case[]) {
      expect(next(stages[is], { ...facts(name), forMs: Number.MAX_SAFE_INTEGER })).toBe("–");
    }
  });

  test("is not begun with while fewer than so many others are Active, and after a while not at all", () => {
    const few = { activeOthers: 1 };
    expect(next(stages.queued, few)).toBe("–");
    expect(next(stages.queued, { ...few, forMs: restartReturnMs })).toBe("stopped too-few-active");
  });

  test("is told to go when nobody is left on it, and not a session earlier", () => {
    expect(next(stages.draining, { sessions: 1 })).toBe("–");
    expect(next(stages.draining, { sessions: 0 })).toBe("restarting");
  });

  test("is not told to go while another is missing", () => {
    expect(next(stages.draining, { sessions: 0, activeOthers: 1 })).toBe("–");
    const forMs = restartDrainMs + drainDeadlineMs;
    expect(next(stages.draining, { sessions: 0, activeOthers: 1, forMs })).toBe("stopped too-few-active");
  });

  test("that cannot be emptied stops it: without room elsewhere, or because devices do not come over", () => {
    const forMs = restartDrainMs + drainDeadlineMs;
    expect(next(stages.draining, { sessions: 2, forMs: forMs - 1 })).toBe("–");
    expect(next(stages.draining, { sessions: 2, withoutPlace: 1, forMs })).toBe("stopped no-room");
    expect(next(stages.draining, { sessions: 2, forMs })).toBe("stopped not-emptied");
  });

  test("that is the only one keeps its sessions: there is nobody to take them", () => {
    const alone = { activeOthers: 0, minActive: 0, sessions: 5 };
    const after = nextStage(stages.queued, { ...well, ...alone }, coreDefaults, nowMs);
    expect(after).toEqual({ is: "restarting", process: old, sinceMs: nowMs, wasDrained: false });
  });

  test("an older agent's link without a report says nothing about its process", () => {
    const silent = { standing: standings.offline, hasReported: false };
    expect(next(stages.draining, { ...silent, sessions: 1 })).toBe("–");
  });
});

test("why an instance cannot be restarted", () => {
  expect(Object.values(standings).map(obstacle)).toEqual([
    ...[undefined, undefined, "unable", "drained", "drained", "draining"],
    ...["not-active", "not-active", "condemned", "offline", "removed"],
  ]);
});
