import type { Instant } from "../../protocol/time.ts";
import type { Fleet } from "./fleet.ts";
import type { Judge } from "./judge.ts";
import type { Model } from "./model.ts";
import { isEmptied, type RestartRow, type RestartStage, type RestartStep } from "./restart-row.ts";
import type {
  DrainView,
  RestartStepState,
  RestartStepView,
  RestartSummary,
  RestartView,
} from "./restart-views.ts";
import type { InstanceRow } from "./rows.ts";
import { sessionsWithoutPlace } from "./show-judgement.ts";

/** What the shown is derived from. */
export interface Shown {
  readonly model: Model;
  readonly fleet: Fleet;
  readonly judge: Judge;
  /** When the step a restart is at must be done. */
  readonly restartUntilMs: (row: RestartRow, now: Instant) => number | undefined;
}

/** null where nothing drains it. */
export function drainView(row: InstanceRow, shown: Shown, now: Instant): DrainView | null {
  const { model, fleet, judge } = shown;
  const facts = fleet.instance(row.id);
  const own = facts?.link === undefined ? undefined : facts.report;
  const stage = model.restartStage(row);
  const restart = model.running.get(row.connector);
  const isRestarting = isEmptied(stage);
  const reasons = new Set([
    ...(row.drainSinceMs === null ? [] : ["admin"]),
    ...(isRestarting ? ["restart"] : []),
    ...(own?.drain?.reasons ?? []),
  ]);
  // An older agent does not say why.
  if (reasons.size === 0 && own?.status === "Draining") reasons.add("instance");
  if (reasons.size === 0) return null;
  const standing = judge.standingOf(row.id);
  const since = [row.drainSinceMs ?? [], sinceOf(stage, isRestarting), own?.drain?.sinceMs ?? []].flat();
  const until = [
    own?.drain?.untilMs ?? [],
    (stage?.is === "draining" && restart && shown.restartUntilMs(restart, now)) || [],
  ];
  const ends = [...model.leavingFrom(row.id)].map((id) => model.sessions.get(id)?.leaving?.untilMs ?? null);
  const known = ends.filter((atMs) => atMs !== null);
  return {
    reasons: [...reasons].toSorted(),
    sinceMs: Math.min(...since, ...(since.length === 0 ? [standing?.since.wallMs ?? now.wallMs] : [])),
    untilMs: until.flat().length === 0 ? null : Math.min(...until.flat()),
    left: model.sessionsOn(row.id).size + ends.length,
    moved: standing === undefined || standing.verdict.is === "serving" ? 0 : standing.moved,
    comingOver: ends.length,
    comingOverUntilMs: known.length === 0 || known.length < ends.length ? null : Math.max(...known),
    withoutPlace: sessionsWithoutPlace(row.id, model, judge, now),
  };
}

export function restartView(row: RestartRow, shown: Shown, now: Instant): RestartView {
  return {
    ...restartSummary(row),
    ...{ id: row.restartId, connector: row.name, minActive: row.minActive, startedBy: row.startedBy },
    endedBy: row.outcome?.by ?? null,
    steps: row.steps.map((step) => stepView(step, row, shown, now)),
  };
}

export function restartSummary({ outcome, startedAtMs, steps }: RestartRow): RestartSummary {
  const at = steps.find(({ stage: { is } }) => is === "stopped" || is === "cancelled");
  const current = steps.find(
    ({ stage: { is } }) => is === "queued" || is === "draining" || is === "restarting",
  );
  const named = outcome === null ? current : at;
  return {
    state: outcome?.is ?? "running",
    ...{ startedAtMs, endedAtMs: outcome?.atMs ?? null },
    restarted: steps.filter(({ stage }) => stage.is === "restarted").length,
    instances: steps.length,
    at: named?.name ?? null,
    why: named?.stage.is === "stopped" ? named.stage.why : null,
  };
}

function stepView(
  { instance, name, stage }: RestartStep,
  row: RestartRow,
  shown: Shown,
  now: Instant,
): RestartStepView {
  const { model, judge } = shown;
  const isAt = row.outcome === null && (stage.is === "draining" || stage.is === "restarting");
  const isDraining = isAt && stage.is === "draining";
  const left = model.sessionsOn(instance).size + model.leavingFrom(instance).size;
  return {
    instance: name,
    state: stateOf(stage, row),
    why: "why" in stage ? stage.why : null,
    sinceMs: "sinceMs" in stage ? stage.sinceMs : "atMs" in stage ? stage.atMs : null,
    left: isDraining ? left : null,
    withoutPlace: isDraining ? sessionsWithoutPlace(instance, model, judge, now) : null,
    untilMs: (isAt ? shown.restartUntilMs(row, now) : undefined) ?? null,
  };
}

function stateOf({ is }: RestartStage, { outcome }: RestartRow): RestartStepState {
  return is === "queued" && outcome !== null ? "untouched" : is;
}

function sinceOf(stage: RestartStage | undefined, isRestarting: boolean): number | [] {
  return isRestarting && stage !== undefined && "sinceMs" in stage ? stage.sinceMs : [];
}
