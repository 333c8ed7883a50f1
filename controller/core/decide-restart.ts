import { type Result, success } from "../../protocol/failures.ts";
import { auditOf, conflict, type DecideContext, type Deciders, type Decision, notFound } from "./decision.ts";
import { obstacle, type Standing } from "./restart-next.ts";
import { isOver, type RestartRow, type RestartStep } from "./restart-row.ts";
import type { RestartView } from "./restart-views.ts";
import { isActive } from "./restarts.ts";
import { type ConnectorRow, put } from "./rows.ts";
import type { InstanceView } from "./views.ts";

/** Rolling restarts: begun and cancelled by an administrator. Their steps are decided in restarts.ts. */
export const restartDeciders: Deciders<"connector.restart" | "connector.restart.cancel"> = {
  "connector.restart": ({ connector: name, minActive: wanted }, context) => {
    const { model, views, makers, actor, nowMs } = context;
    const connector = model.connectors.get(name);
    if (connector === undefined) return notFound("connector", name);
    const before = model.restarts.get(name);
    if (before?.outcome === null) {
      return conflict("it is being restarted already; wait for it, or cancel it", { connector: name });
    }
    const instances = inTurn(views.instances(name), connector);
    const steps = instances.map((instance) => stepOf(instance, nowMs));
    const active = instances.filter((instance) => isActive(standingOf(instance))).length;
    const minActive = wanted ?? Math.max(1, active - 1);
    const problem = restartProblem(connector, steps, active, minActive);
    if (problem !== undefined) return problem;
    const row: RestartRow = {
      ...{ name, restartId: makers.id(), minActive, startedAtMs: nowMs, startedBy: actor },
      ...{ outcome: null, steps },
    };
    return decided("connector.restart", before, row, context);
  },

  "connector.restart.cancel": ({ connector: name }, context) => {
    const { model, actor, nowMs } = context;
    if (!model.connectors.has(name)) return notFound("connector", name);
    const before = model.restarts.get(name);
    if (before?.outcome !== null) return conflict("it is not being restarted", { connector: name });
    // Whoever was told to go comes back by itself; a drain ends with the restart.
    const steps = before.steps.map((step): RestartStep => {
      const isBegun = step.stage.is !== "queued" && !isOver(step.stage);
      return isBegun ? { ...step, stage: { is: "cancelled", atMs: nowMs } } : step;
    });
    const outcome = { is: "cancelled", atMs: nowMs, by: actor } as const;
    return decided("connector.restart.cancel", before, { ...before, steps, outcome }, context);
  },
};

/** By name; of an active-standby pair the one that carries comes last, so that users move once. */
function inTurn(instances: readonly InstanceView[], { mode }: ConnectorRow): readonly InstanceView[] {
  return mode === "active-standby" ? instances.toSorted((a, b) => a.sessions - b.sessions) : instances;
}

function stepOf(instance: InstanceView, nowMs: number): RestartStep {
  const why = obstacle(standingOf(instance));
  const stage =
    why === undefined ? ({ is: "queued" } as const) : { is: "skipped" as const, why, atMs: nowMs };
  return { instance: instance.id, name: instance.name, stage };
}

function standingOf({ status, drain, judgement, process }: InstanceView): Standing {
  return { status, isDrained: drain, isGone: judgement.is === "gone", process };
}

function restartProblem(
  { name, mode }: ConnectorRow,
  steps: readonly RestartStep[],
  active: number,
  minActive: number,
): ReturnType<typeof conflict> | undefined {
  if (!steps.some(({ stage }) => stage.is === "queued")) {
    const facts = steps.map(({ name, stage }) => `${name}: ${stage.is === "skipped" ? stage.why : stage.is}`);
    return conflict("none of its instances can be restarted", {
      connector: name,
      instances: facts.join(", ").slice(0, 500) || "none",
    });
  }
  if (active - 1 >= minActive) return undefined;
  const left = `${active} of its instances ${active === 1 ? "is" : "are"} Active, and ${minActive} must stay so`;
  const anyway = "with min-active 0 it restarts with its users connected, whom its kernel goes on serving";
  const problem =
    mode === "standalone"
      ? `a standalone connector has no other instance to take its users; ${anyway}`
      : `${left} while one restarts${active === 1 ? `; ${anyway}` : ""}`;
  return conflict(problem, { connector: name });
}

function decided(
  action: string,
  before: RestartRow | undefined,
  after: RestartRow,
  context: DecideContext,
): Result<Decision<RestartView>> {
  return success({
    plan: {
      changes: [put("restart", after)],
      audit: [auditOf(context, action, `connector/${after.name}`, before ?? null, after)],
    },
    answer: (views) => {
      const view = views.restart(after.name);
      if (view === undefined) throw new Error("a stored restart has a view");
      return view;
    },
  });
}
