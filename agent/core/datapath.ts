import { Failure, type Result } from "../../protocol/failures.ts";
import { earliest, type Instant } from "../../protocol/time.ts";
import type { Problem } from "./conditions.ts";
import { DataPathWatch } from "./datapath-watch.ts";
import { driftText } from "./firewall-drift.ts";
import type { DataPathPlan, DataPathState } from "./ports.ts";

const retry = { minMs: 500, maxMs: 30_000 } as const;

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
  | { readonly do: "compare"; readonly effectId: number };

/**
 * Brings the kernel to the plan: one apply at a time, the whole plan each time; what changes meanwhile is gathered
 * for the next. An apply that fails is tried again, with longer and longer waits, for ever. Between applies the kernel is
 * compared with the plan, and what somebody else changed is brought back.
 */
export class DataPathControl {
  #state: State = { kind: "unknown" };
  /** The plan changed since the apply that is running, or that ran last, was built. */
  #changed = true;
  #isOpen = true;
  /** There can be no plan yet: what is missing is told by whoever misses it. */
  #isPlanless = false;
  /** What was read back last. */
  #held: DataPathState | undefined;
  #effects = 0;
  readonly #watch = new DataPathWatch();
  #comparing: number | undefined;

  /** Something the plan is made of has changed. */
  touch(): void {
    this.#changed = true;
  }

  /** Whether anybody is let in at all: the plan is another then. */
  admit(isOpen: boolean): void {
    if (isOpen !== this.#isOpen) this.#changed = true;
    this.#isOpen = isOpen;
  }

  /** There is news of the kernel: it is compared as soon as it can be. */
  look(): void {
    this.#watch.demand();
  }

  /** Starts what is due. `plan` is asked for only when it is needed; undefined while there can be none yet. */
  next(plan: () => DataPathPlan | undefined, now: Instant): DataPathEffect[] {
    return [...this.#apply(plan, now), ...this.#compare(now)];
  }

  /** The result of an apply; that of an older one is dropped. */
  applied(effectId: number, result: Result<DataPathState>, now: Instant): void {
    const state = this.#state;
    if (state.kind !== "applying" || state.effectId !== effectId) return;
    if (result.ok) this.#held = result.value;
    if (result.ok && result.value.drift.length === 0) {
      this.#state = { kind: "inSync" };
      return;
    }
    // Read back and different: somebody else writes there too, or the kernel refused a part in silence.
    const failure = result.ok
      ? new Failure("datapath.failing", { "read back": driftText(result.value.drift) })
      : result.failure;
    const waitMs = Math.min(retry.maxMs, retry.minMs * 2 ** Math.min(state.attempt, 16));
    this.#state = {
      kind: "failing",
      attempt: state.attempt + 1,
      retryAtMs: now.monotonicMs + waitMs,
      failure,
    };
  }

  /** The result of a comparison. What differs is brought back; what cannot be read is applied again, and fails there. */
  compared(effectId: number, result: Result<DataPathState>, now: Instant): void {
    if (this.#comparing !== effectId) return;
    this.#comparing = undefined;
    if (result.ok) this.#held = result.value;
    this.#watch.compared(result.ok ? result.value.drift : [], this.#held?.peers ?? 0, now);
    if (!result.ok || result.value.drift.length > 0) this.#changed = true;
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
    return [...this.#applyProblems(), ...this.#watch.problems(), ...besides(this.#held)];
  }

  nextDeadline(): number | undefined {
    const compareAtMs = this.#mayCompare ? this.#watch.dueAtMs : undefined;
    return earliest(this.retryAtMs, compareAtMs, this.#watch.shownUntilMs);
  }

  #applyProblems(): Problem[] {
    if (this.#state.kind === "failing") {
      const { code, facts } = this.#state.failure;
      return [{ code, facts }];
    }
    return this.inSync || this.#isPlanless ? [] : [{ code: "datapath.pending" }];
  }

  #apply(plan: () => DataPathPlan | undefined, now: Instant): DataPathEffect[] {
    const state = this.#state;
    switch (state.kind) {
      case "applying":
        return [];
      case "failing":
        return now.monotonicMs < state.retryAtMs ? [] : this.#start(plan(), state.attempt);
      case "unknown":
      case "inSync":
        return this.#changed ? this.#start(plan(), 0) : [];
    }
  }

  #start(plan: DataPathPlan | undefined, attempt: number): DataPathEffect[] {
    this.#isPlanless = plan === undefined;
    if (plan === undefined) return [];
    const effectId = ++this.#effects;
    this.#changed = false;
    this.#state = { kind: "applying", effectId, attempt };
    return [{ do: "apply", effectId, plan }];
  }

  /** While an apply fails, trying it again reads as much. */
  get #mayCompare(): boolean {
    return this.inSync && this.#comparing === undefined;
  }

  #compare(now: Instant): DataPathEffect[] {
    if (!this.#watch.next(this.#mayCompare, now)) return [];
    const effectId = ++this.#effects;
    this.#comparing = effectId;
    return [{ do: "compare", effectId }];
  }
}

/** What is wrong beside a data path that serves. */
function besides(held: DataPathState | undefined): Problem[] {
  if (held === undefined) return [];
  const { resolver, silent, lingering } = held;
  return [
    ...(lingering === undefined ? [] : [{ code: "datapath.lingering", facts: lingering.facts } as const]),
    ...(resolver === undefined ? [] : [{ code: "resolver.failing", facts: resolver.facts } as const]),
    ...silent.map(
      (server) => ({ code: "resolver.upstream-silent", subject: server, facts: { server } }) as const,
    ),
  ];
}
