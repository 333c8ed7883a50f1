import type { InstanceStatus } from "../../protocol/view.ts";
import type { RestartStage, SkipReason, StopReason } from "./restart-row.ts";
import type { CoreSettings } from "./settings.ts";

/** What becomes of one instance in a rolling restart. Pure: who keeps the facts and the time is restarts.ts. */

/** How an instance stands, by the controller's own knowledge and its last word. */
export interface Standing {
  readonly status: InstanceStatus;
  /** An administrator drains it. */
  readonly isDrained: boolean;
  /** Its devices have condemned it, or its link is lost for good. */
  readonly isGone: boolean;
  /** null: it reports none. */
  readonly process: string | null;
}

export interface RestartFacts {
  /** Undefined: it was removed from the group. */
  readonly standing: Standing | undefined;
  /** It has a link, and has reported on it. */
  readonly hasReported: boolean;
  /** Sessions it serves, with those that are leaving it. */
  readonly sessions: number;
  /** Those of them for whom there is no other place. */
  readonly withoutPlace: number;
  /** Other instances that are Active. */
  readonly activeOthers: number;
  readonly minActive: number;
  /** How long the stage has lasted, as far as the group could be heard in that time. */
  readonly forMs: number;
}

export type RestartSettings = Pick<CoreSettings, "drainDeadlineMs" | "restartDrainMs" | "restartReturnMs">;

/** The stage after this one, or the same object while nothing has changed. `nowMs`: wall clock. */
export function nextStage(
  stage: RestartStage,
  facts: RestartFacts,
  settings: RestartSettings,
  nowMs: number,
): RestartStage {
  switch (stage.is) {
    case "queued":
      return afterQueued(stage, facts, settings, nowMs);
    case "draining":
      return afterDraining(stage, facts, settings, nowMs);
    case "restarting":
      return afterRestarting(stage, facts, settings, nowMs);
    case "skipped":
    case "restarted":
    case "stopped":
    case "cancelled":
      return stage;
  }
}

/** How long a stage may last; undefined: for ever. */
export function limitMs({ is }: RestartStage, settings: RestartSettings): number | undefined {
  switch (is) {
    case "draining":
      return settings.restartDrainMs + settings.drainDeadlineMs;
    case "queued":
    case "restarting":
      return settings.restartReturnMs;
    case "skipped":
    case "restarted":
    case "stopped":
    case "cancelled":
      return undefined;
  }
}

/** Why an instance cannot be restarted as it stands; undefined: it can. */
export function obstacle(standing: Standing | undefined): SkipReason | undefined {
  if (standing === undefined) return "removed";
  const { status, isDrained, isGone, process } = standing;
  if (isDrained) return "drained";
  switch (status) {
    case "Draining":
      return "draining";
    case "Configured":
    case "Offline":
      return "offline";
    case "Online":
      return "not-active";
    case "Active":
      if (isGone) return "condemned";
      return process === null ? "unable" : undefined;
  }
}

function afterQueued(
  stage: RestartStage & { is: "queued" },
  facts: RestartFacts,
  settings: RestartSettings,
  nowMs: number,
): RestartStage {
  const { standing, activeOthers, minActive, sessions } = facts;
  const isLate = facts.forMs >= settings.restartReturnMs;
  const why = obstacle(standing);
  if (why !== undefined && (isLate || isMeant(why))) return { is: "skipped", why, atMs: nowMs };
  const process = standing?.process;
  if (why !== undefined || process == null) return stage;
  if (activeOthers < minActive) return isLate ? stopped("too-few-active", nowMs) : stage;
  const begun = { process, sinceMs: nowMs };
  return activeOthers === 0
    ? { is: "restarting", ...begun, wasDrained: false }
    : { is: "draining", ...begun, sessions };
}

function afterDraining(
  stage: RestartStage & { is: "draining" },
  facts: RestartFacts,
  settings: RestartSettings,
  nowMs: number,
): RestartStage {
  const { standing, sessions, withoutPlace, activeOthers, minActive } = facts;
  if (standing === undefined) return { is: "skipped", why: "removed", atMs: nowMs };
  const restarting = { is: "restarting", process: stage.process, sinceMs: nowMs, wasDrained: true } as const;
  // It ended by itself: what is to come back is the one that is there, or on its way.
  if (isAnother(stage, facts)) return restarting;
  const areEnough = activeOthers >= minActive;
  if (sessions === 0 && areEnough) return restarting;
  if (facts.forMs < settings.restartDrainMs + settings.drainDeadlineMs) return stage;
  if (sessions === 0) return stopped("too-few-active", nowMs);
  return stopped(withoutPlace > 0 ? "no-room" : "not-emptied", nowMs);
}

function afterRestarting(
  stage: RestartStage & { is: "restarting" },
  facts: RestartFacts,
  settings: RestartSettings,
  nowMs: number,
): RestartStage {
  const { standing } = facts;
  if (standing === undefined) return { is: "skipped", why: "removed", atMs: nowMs };
  const isNew = isAnother(stage, facts);
  // Whom an administrator has drained meanwhile is not to become Active.
  const isWell = standing.status === "Active" || (standing.isDrained && standing.status === "Draining");
  if (isNew && isWell) return { is: "restarted", atMs: nowMs };
  if (facts.forMs < settings.restartReturnMs) return stage;
  if (!facts.hasReported) return stopped("not-returned", nowMs);
  return stopped(isNew ? "not-active" : "not-ended", nowMs);
}

/** What somebody wants so, or will not pass: there is nothing to wait for. */
function isMeant(why: SkipReason): boolean {
  switch (why) {
    case "drained":
    case "draining":
    case "unable":
    case "removed":
      return true;
    case "offline":
    case "not-active":
    case "condemned":
      return false;
  }
}

/** Also an older agent that does not name its process: the one that is to end did. */
function isAnother(
  { process }: { readonly process: string },
  { standing, hasReported }: RestartFacts,
): boolean {
  return hasReported && standing?.process !== process;
}

function stopped(why: StopReason, atMs: number): RestartStage {
  return { is: "stopped", why, atMs };
}
