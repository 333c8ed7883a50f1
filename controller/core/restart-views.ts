import { z } from "zod";
import { EpochMs, Id, Name } from "../../protocol/names.ts";

/** What an administrator sees of drains and rolling restarts. */

/** How far an instance is on its way to carrying nobody. */
export const DrainView = z.object({
  /** A set. `admin`: an administrator; `restart`: a rolling restart; the others are the instance's own. */
  reasons: z.array(z.string()),
  sinceMs: EpochMs,
  /** When it is to be done, for whoever asked: a person at the instance, AWS, a rolling restart. null: nobody said. */
  untilMs: EpochMs.nullable(),
  /** Sessions it still serves: those without a new place, and those that have one and are coming over. */
  left: z.int().nonnegative(),
  /** Sessions that got a place elsewhere since it drains. */
  moved: z.int().nonnegative(),
  /** Of `moved`, those whose devices have not come over yet. */
  comingOver: z.int().nonnegative(),
  /** When the last of these is let go of, whatever its device says; null: no new place is granted yet. */
  comingOverUntilMs: EpochMs.nullable(),
  /** Of `left`, those for whom no other instance has a place. They are tried again. */
  withoutPlace: z.int().nonnegative(),
});
export type DrainView = z.infer<typeof DrainView>;

/** queued: its turn is to come. untouched: its turn did not come before the end. */
export const RestartStepState = z.enum([
  "queued",
  "skipped",
  "draining",
  "restarting",
  "restarted",
  "stopped",
  "cancelled",
  "untouched",
]);
export type RestartStepState = z.infer<typeof RestartStepState>;

export const RestartWhy = z.enum([
  "offline",
  "drained",
  "draining",
  "not-active",
  "condemned",
  "unable",
  "removed",
  "no-room",
  "not-emptied",
  "not-ended",
  "not-returned",
  "too-few-active",
]);
export type RestartWhy = z.infer<typeof RestartWhy>;

export const RestartStepView = z.object({
  instance: Name,
  state: RestartStepState,
  /** Why it was skipped, or why the restart stopped at it. */
  why: RestartWhy.nullable(),
  /** Since when it is so; null while its turn is to come. */
  sinceMs: EpochMs.nullable(),
  /** While it drains: sessions that are left on it, and those of them for whom there is no other place. */
  left: z.int().nonnegative().nullable(),
  withoutPlace: z.int().nonnegative().nullable(),
  /** When the restart stops at it, if it is where it is then. */
  untilMs: EpochMs.nullable(),
});
export type RestartStepView = z.infer<typeof RestartStepView>;

export const RestartState = z.enum(["running", "done", "stopped", "cancelled"]);

export const RestartSummary = z.object({
  state: RestartState,
  startedAtMs: EpochMs,
  endedAtMs: EpochMs.nullable(),
  /** Instances that were restarted, and all it was to go through. */
  restarted: z.int().nonnegative(),
  instances: z.int().nonnegative(),
  /** Whose turn it is, or at which it stopped, and why. */
  at: Name.nullable(),
  why: RestartWhy.nullable(),
});
export type RestartSummary = z.infer<typeof RestartSummary>;

/** A rolling restart of a connector's agents: the one that runs, or the last one. */
export const RestartView = RestartSummary.extend({
  id: Id,
  connector: Name,
  /** Never fewer are Active while an instance is away. */
  minActive: z.int().nonnegative(),
  startedBy: z.string(),
  /** Who cancelled it, else `controller`; null while it runs. */
  endedBy: z.string().nullable(),
  steps: z.array(RestartStepView),
});
export type RestartView = z.infer<typeof RestartView>;
