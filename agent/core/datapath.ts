import { Failure, type Result } from "../../protocol/failures.ts";
import { earliest, type Instant } from "../../protocol/time.ts";
import type { Problem } from "./conditions.ts";
import type { DataPathPlan, DataPathState } from "./ports.ts";

const retry = { minMs: 500, maxMs: 30_000 } as const;

/** How often the devices' last signs of life are read; what renews their leases. */
const activityEveryMs = 15_000;

type State =
  /** Nothing was applied yet in this process: what the kernel holds is unknown. */
  | { readonly kind: "unknown" }
  | { readonly kind: "applying"; readonly effectId: number; readonly attempt: number }
  | { readonly kind: "inSync" }
  | {
      readonly kind: "failing";
      readonly attempt: number;
      readonly retryAtMs: number;
      readonly failure: Failure;
    };

export type DataPathEffect =
  | { readonly do: "apply"; readonly effectId: number; readonly plan: DataPathPlan }
  | { readonly do: "readActivity"; readonly effectId: number };

/**
 * Brings the kernel to the plan: one apply at a time, the whole plan each time; what changes meanwhile is gathered
 * for the next. An apply that fails is tried again, with longer and longer waits, for ever.
 */
export class DataPathControl {
  #state: State = { kind: "unknown" };
  /** The plan changed since the apply that is running, or that ran last, was built. */
  #changed = true;
  /** What was read back last. */
  #held: DataPathState | undefined;
  #effects = 0;
  #activity: { readonly effectId: number | undefined; readonly dueAtMs: number } | undefined;

  /** Something the plan is made of has changed. */
  touch(): void {
    this.#changed = true;
  }

  /** Starts what is due. `plan` is asked for only when it is needed. */
  next(plan: () => DataPathPlan, now: Instant): DataPathEffect[] {
    return [...this.#apply(plan, now), ...this.#readActivity(now)];
  }

  /** The result of an apply; that of an older one is dropped. */
  applied(effectId: number, result: Result<DataPathState>, now: Instant): void {
    const state = this.#state;
    if (state.kind !== "applying" || state.effectId !== effectId) return;
    if (result.ok) this.#held = result.value;
    if (result.ok && result.value.inSync) {
      this.#state = { kind: "inSync" };
      return;
    }
    // Read back and different: somebody else writes there too, or the kernel refused a part in silence.
    const failure = result.ok
      ? new Failure("datapath.failing", { "read back": "differs from the plan" })
      : result.failure;
    const waitMs = Math.min(retry.maxMs, retry.minMs * 2 ** Math.min(state.attempt, 16));
    this.#state = {
      kind: "failing",
      attempt: state.attempt + 1,
      retryAtMs: now.monotonicMs + waitMs,
      failure,
    };
  }

  activityRead(effectId: number, now: Instant): boolean {
    if (this.#activity?.effectId !== effectId) return false;
    this.#activity = { effectId: undefined, dueAtMs: now.monotonicMs + activityEveryMs };
    return true;
  }

  get inSync(): boolean {
    return this.#state.kind === "inSync" && !this.#changed;
  }

  /** A plan was applied and read back, and no apply has failed since: a newer plan on its way changes nothing in that. */
  get isServing(): boolean {
    return this.#held !== undefined && this.#state.kind !== "failing";
  }

  /** When a failed apply is tried again. */
  get retryAtMs(): number | undefined {
    return this.#state.kind === "failing" ? this.#state.retryAtMs : undefined;
  }

  /** The ranges that were routed when last read back; undefined before that. */
  get routed(): ReadonlySet<string> | undefined {
    return this.#held === undefined ? undefined : new Set(this.#held.routes);
  }

  problems(): Problem[] {
    if (this.#state.kind === "failing") {
      const { code, facts } = this.#state.failure;
      return [{ code, facts }];
    }
    return this.inSync ? [] : [{ code: "datapath.pending" }];
  }

  nextDeadline(): number | undefined {
    const readAtMs = this.#activity?.effectId === undefined ? (this.#activity?.dueAtMs ?? 0) : undefined;
    return earliest(this.retryAtMs, readAtMs);
  }

  #apply(plan: () => DataPathPlan, now: Instant): DataPathEffect[] {
    const state = this.#state;
    switch (state.kind) {
      case "applying":
        return [];
      case "failing":
        if (now.monotonicMs < state.retryAtMs) return [];
        return [this.#start(plan(), state.attempt)];
      case "unknown":
      case "inSync":
        return this.#changed ? [this.#start(plan(), 0)] : [];
    }
  }

  #start(plan: DataPathPlan, attempt: number): DataPathEffect {
    const effectId = ++this.#effects;
    this.#changed = false;
    this.#state = { kind: "applying", effectId, attempt };
    return { do: "apply", effectId, plan };
  }

  #readActivity(now: Instant): DataPathEffect[] {
    const activity = this.#activity;
    if (activity !== undefined && (activity.effectId !== undefined || now.monotonicMs < activity.dueAtMs)) {
      return [];
    }
    const effectId = ++this.#effects;
    this.#activity = { effectId, dueAtMs: now.monotonicMs + activityEveryMs };
    return [{ do: "readActivity", effectId }];
  }
}
