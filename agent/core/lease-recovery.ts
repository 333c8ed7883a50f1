import type { Instant } from "../../protocol/time.ts";

type Recovery =
  | { readonly kind: "over" }
  /** Nothing is known about any address until the controller says which sessions it heard of. */
  | { readonly kind: "awaiting" }
  /** What the controller named is rebuilt; every other address may still be in use and cools. */
  | { readonly kind: "cooling"; readonly untilMs: number };

/**
 * What happens after the database was lost: nothing is granted until everything that was granted before is known or
 * has cooled. The store remembers that it is not over, so a restart in between begins anew.
 */
export class LeaseRecovery {
  #state: Recovery;
  readonly #coolDownMs: number;

  constructor(options: { isLost: boolean; coolDownMs: number }) {
    this.#state = options.isLost ? { kind: "awaiting" } : { kind: "over" };
    this.#coolDownMs = options.coolDownMs;
  }

  get isOver(): boolean {
    return this.#state.kind === "over";
  }

  get isAwaiting(): boolean {
    return this.#state.kind === "awaiting";
  }

  get mayRebuild(): boolean {
    return this.#state.kind === "cooling";
  }

  get endsAtMs(): number | undefined {
    return this.#state.kind === "cooling" ? this.#state.untilMs : undefined;
  }

  snapshotArrived(now: Instant): void {
    if (this.#state.kind !== "awaiting") return;
    this.#state = { kind: "cooling", untilMs: now.monotonicMs + this.#coolDownMs };
  }

  /** The disk takes writes again: until then whoever was let in before could be in still, and rests from now on. */
  restart(now: Instant): void {
    if (this.#state.kind !== "cooling") return;
    this.#state = { kind: "cooling", untilMs: now.monotonicMs + this.#coolDownMs };
  }

  /** Whether it ended now. */
  endIfDue(now: Instant): boolean {
    if (this.#state.kind !== "cooling" || now.monotonicMs < this.#state.untilMs) return false;
    this.#state = { kind: "over" };
    return true;
  }
}
