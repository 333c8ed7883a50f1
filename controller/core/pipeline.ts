import type { Failure, Result } from "../../protocol/failures.ts";
import type { Plan } from "./rows.ts";

/** One thing to decide. `decide` only looks; what it answers becomes true when it is stored. */
export interface Job {
  readonly decide: () => Result<Decided>;
  /** It was refused, or the store failed: nothing of it has happened. */
  readonly failed: (failure: Failure) => void;
}

export interface Decided {
  readonly plan: Plan;
  /** The plan is stored and applied. */
  readonly done: () => void;
}

/** Jobs that are over and still in the list: under load that never ends, it never runs empty. */
const decidedMax = 1_024;

/**
 * Decisions one after the other: each is made against a model that holds everything decided before it, and nothing
 * that is not stored. So two requests that race for one OTP or one prefix cannot both win, and a failed write leaves
 * nothing to undo.
 */
export class Pipeline {
  /**
   * BOUNDED: `jobsMax` for what comes from outside (see `isFull`), one job for each unproven peer and instance, and
   * `decidedMax`.
   */
  #jobs: Job[] = [];
  #next = 0;
  #inFlight: { readonly effectId: number; readonly job: Job; readonly decided: Decided } | undefined;
  readonly #jobsMax: number;
  readonly #store: (plan: Plan) => number;
  readonly #apply: (plan: Plan) => void;

  constructor(options: {
    jobsMax: number;
    /** Asks for the plan to be stored, and answers the number under which the result comes back. */
    store: (plan: Plan) => number;
    apply: (plan: Plan) => void;
  }) {
    this.#jobsMax = options.jobsMax;
    this.#store = options.store;
    this.#apply = options.apply;
  }

  get length(): number {
    return this.#jobs.length - this.#next + (this.#inFlight === undefined ? 0 : 1);
  }

  /** Too much waits already: whoever asks from outside is to come back later. */
  get isFull(): boolean {
    return this.length >= this.#jobsMax;
  }

  add(job: Job): void {
    this.#jobs.push(job);
  }

  /** Decides what waits, up to and including the first decision that must be stored. */
  run(): void {
    while (this.#inFlight === undefined) {
      const job = this.#jobs[this.#next];
      if (job === undefined) {
        this.#jobs = [];
        this.#next = 0;
        return;
      }
      this.#next += 1;
      if (this.#next === decidedMax) {
        this.#jobs.splice(0, decidedMax);
        this.#next = 0;
      }
      const decided = job.decide();
      if (!decided.ok) job.failed(decided.failure);
      else if (decided.value.plan.changes.length === 0) decided.value.done();
      else {
        this.#inFlight = { effectId: this.#store(decided.value.plan), job, decided: decided.value };
      }
    }
  }

  stored(effectId: number): void {
    const inFlight = this.#inFlight;
    if (inFlight?.effectId !== effectId) return;
    this.#inFlight = undefined;
    this.#apply(inFlight.decided.plan);
    inFlight.decided.done();
    this.run();
  }

  storeFailed(effectId: number, failure: Failure): void {
    const inFlight = this.#inFlight;
    if (inFlight?.effectId !== effectId) return;
    this.#inFlight = undefined;
    inFlight.job.failed(failure);
    this.run();
  }
}
