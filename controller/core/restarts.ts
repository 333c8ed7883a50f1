import { success } from "../../protocol/failures.ts";
import { earliest, type Instant } from "../../protocol/time.ts";
import { limitMs, nextStage, type RestartFacts, type Standing } from "./restart-next.ts";
import { currentStep, isOver, type RestartRow, type RestartStage, type RestartStep } from "./restart-row.ts";
import { type AuditDraft, nothing, type Plan, put } from "./rows.ts";
import { statusOf } from "./show.ts";
import { sessionsWithoutPlace } from "./show-judgement.ts";
import type { World } from "./world.ts";

/** Since when a connector's restart is where it is, monotonic. A controller that has just started gives it all its time anew. */
interface Phase {
  readonly of: string;
  readonly sinceMs: number;
}

type Group = Pick<World, "model" | "fleet" | "judge" | "settings">;

/**
 * Takes the rolling restarts that run from one stored step to the next. Work per input: the running restarts, and for each
 * the instances of its connector.
 */
export class Restarts {
  /** By connector. BOUNDED: connectors. */
  readonly #phases = new Map<string, Phase>();
  /** Connectors whose next step waits in the pipeline. */
  readonly #queued = new Set<string>();
  #notBeforeMs = Number.NEGATIVE_INFINITY;

  /** Looks at what runs, and has its next step decided where there is one. */
  run(world: World): void {
    const { model, judge, now } = world;
    for (const name of this.#phases.keys()) if (!model.running.has(name)) this.#phases.delete(name);
    if (model.running.size === 0 || now.monotonicMs < this.#notBeforeMs || !judge.settling.isOver(now))
      return;
    for (const row of model.running.values()) {
      if (this.#queued.has(row.name) || this.#advanced(row, world).row === row) continue;
      this.#queue(row.name, world);
    }
  }

  /** When the step that a restart is at must be done; wall clock. */
  untilMs(row: RestartRow, { settings, judge }: Group, now: Instant): number | undefined {
    const atMs = this.#deadline(row, settings, judge.settling.sinceMs, now);
    return atMs === undefined ? undefined : Math.floor(now.wallMs + atMs - now.monotonicMs);
  }

  nextDeadline({ model, settings, judge, now }: World): number | undefined {
    if (now.monotonicMs < this.#notBeforeMs) return this.#notBeforeMs;
    const waiting = [...model.running.values()].filter(({ name }) => !this.#queued.has(name));
    if (waiting.length === 0) return undefined;
    if (!judge.settling.isOver(now)) return judge.settling.endsAtMs;
    const at = waiting.map((row) => this.#deadline(row, settings, judge.settling.sinceMs, now));
    return earliest(...at);
  }

  #queue(name: string, world: World): void {
    this.#queued.add(name);
    let steps: readonly RestartStep[] = [];
    world.pipeline.add({
      decide: () => {
        const row = world.model.running.get(name);
        const next = row && this.#advanced(row, world);
        const isNews = next !== undefined && next.row !== row;
        steps = isNews ? next.changed : [];
        const plan: Plan = isNews ? { changes: [put("restart", next.row)], audit: next.audit } : nothing;
        return success({ plan, done: () => this.#done(name, steps, world) });
      },
      failed: () => {
        this.#queued.delete(name);
        this.#notBeforeMs = world.now.monotonicMs + world.settings.retryStoreMs;
      },
    });
  }

  #done(connector: string, steps: readonly RestartStep[], world: World): void {
    this.#queued.delete(connector);
    for (const { name: instance, stage } of steps) {
      const why = "why" in stage ? { why: stage.why } : {};
      const facts = { connector, instance, stage: stage.is, ...why };
      world.emit({
        do: "tell",
        level: stage.is === "stopped" ? "warn" : "info",
        text: "rolling restart",
        facts,
      });
    }
    this.run(world);
  }

  /** The row after everything that can be decided now. */
  #advanced(row: RestartRow, world: World): Advanced {
    const { settings, now } = world;
    const audit: AuditDraft[] = [];
    const changed: RestartStep[] = [];
    const steps = [...row.steps];
    let forMs = this.#lasted(row, world.judge.settling.sinceMs, now);
    let stop: RestartStage | undefined;
    for (let i = 0; i < steps.length && stop === undefined; ) {
      const step = steps[i];
      if (step === undefined || isOver(step.stage)) {
        i += 1;
        continue;
      }
      const stage = nextStage(step.stage, factsOf(step, row, forMs, world), settings, Math.floor(now.wallMs));
      if (stage === step.stage) break;
      const next = { ...step, stage };
      steps[i] = next;
      changed.push(next);
      audit.push(auditOfStep(row, step, next, now));
      forMs = 0;
      if (stage.is === "stopped") stop = stage;
    }
    const isDone = stop !== undefined || steps.every(({ stage }) => isOver(stage));
    if (changed.length === 0 && !isDone) return { row, changed, audit };
    if (!isDone) return { row: { ...row, steps }, changed, audit };
    const is = stop === undefined ? "done" : "stopped";
    const outcome = { is, atMs: Math.floor(now.wallMs), by: "controller" } as const;
    const after = { ...row, steps, outcome };
    const end = { action: "restart.end", subject: `connector/${row.name}`, before: row, after };
    return { row: after, changed, audit: [...audit, { ...basis(now), ...end }] };
  }

  #lasted(row: RestartRow, heardSinceMs: number, now: Instant): number {
    return now.monotonicMs - Math.max(this.#phaseOf(row, now).sinceMs, heardSinceMs);
  }

  #deadline(
    row: RestartRow,
    settings: World["settings"],
    heardSinceMs: number,
    now: Instant,
  ): number | undefined {
    const step = currentStep(row);
    const limit = step && limitMs(step.stage, settings);
    if (limit === undefined) return undefined;
    return Math.max(this.#phaseOf(row, now).sinceMs, heardSinceMs) + limit;
  }

  #phaseOf(row: RestartRow, now: Instant): Phase {
    const step = currentStep(row);
    const of = [row.restartId, step?.instance, step?.stage.is].join("/");
    const known = this.#phases.get(row.name);
    if (known?.of === of) return known;
    const phase = { of, sinceMs: now.monotonicMs };
    this.#phases.set(row.name, phase);
    return phase;
  }
}

interface Advanced {
  readonly row: RestartRow;
  readonly changed: readonly RestartStep[];
  readonly audit: readonly AuditDraft[];
}

export function standingOf(id: string, { model, fleet, judge }: Group): Standing | undefined {
  const row = model.instances.get(id);
  if (row === undefined) return undefined;
  const facts = fleet.instance(id);
  return {
    status: statusOf(facts),
    isDrained: row.drainSinceMs !== null,
    isGone: judge.verdictOf(id).is === "gone",
    process: facts?.report?.process ?? null,
  };
}

/** Whether an instance carries what it is given: what counts for `minActive`. */
export function isActive(standing: Standing | undefined): boolean {
  return standing?.status === "Active" && !standing.isDrained && !standing.isGone;
}

function factsOf({ instance }: RestartStep, row: RestartRow, forMs: number, world: World): RestartFacts {
  const { model, fleet, judge, now } = world;
  const facts = fleet.instance(instance);
  const sessions = model.sessionsOn(instance).size + model.leavingFrom(instance).size;
  const others = model.instancesOf(row.name).filter(({ id }) => id !== instance);
  return {
    standing: standingOf(instance, world),
    hasReported: facts?.link !== undefined && facts.report !== undefined,
    sessions,
    // Looked for only when it decides something: it takes all sessions.
    get withoutPlace() {
      return sessionsWithoutPlace(instance, model, judge, now);
    },
    activeOthers: others.filter(({ id }) => isActive(standingOf(id, world))).length,
    minActive: row.minActive,
    forMs,
  };
}

function basis(now: Instant) {
  return { atMs: Math.floor(now.wallMs), actor: "controller" };
}

function auditOfStep(
  { name: connector }: RestartRow,
  before: RestartStep,
  after: RestartStep,
  now: Instant,
): AuditDraft {
  const subject = `instance/${after.name}`;
  return {
    ...{ ...basis(now), action: `restart.${after.stage.is}`, subject },
    ...{ before: { connector, ...before.stage }, after: { connector, ...after.stage } },
  };
}
