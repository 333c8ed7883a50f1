import type { DrainReason } from "../../protocol/specs.ts";
import type { Instant } from "../../protocol/time.ts";

/** The way out of the group: a goodbye, said once, after which the controller moves at once whoever is still here. */
export type DepartureState =
  | { readonly kind: "staying" }
  | {
      readonly kind: "leaving";
      readonly reason: DrainReason;
      /** The goodbye is said then, whoever is left; monotonic. */
      readonly untilMs: number;
      /** It is said as soon as nobody is left. */
      readonly whenEmpty: boolean;
    }
  | {
      readonly kind: "left";
      readonly reason: DrainReason;
      readonly at: Instant;
      /** Sessions that were still here. */
      readonly sessions: number;
    };

type End = Pick<Extract<DepartureState, { kind: "leaving" }>, "untilMs" | "whenEmpty">;

/**
 * Whether the instance leaves the group, which ending its process alone is not: only who was told to leave, or is about to
 * lose the machine, says goodbye. Who has left does not dial again, and serves on whom it still carries.
 */
export class Departure {
  /** What each reason asks for by itself: ending one ends no other. BOUNDED: reasons. */
  readonly #ends = new Map<DrainReason, End>();
  #left: Extract<DepartureState, { kind: "left" }> | undefined;

  get state(): DepartureState {
    if (this.#left !== undefined) return this.#left;
    const ends = [...this.#ends];
    // Of two departures the earlier end counts, and the one that need not wait for it is shown.
    const [reason] = ends.find(([, { whenEmpty }]) => whenEmpty) ?? ends[0] ?? [];
    if (reason === undefined) return { kind: "staying" };
    const untilMs = Math.min(...ends.map(([, end]) => end.untilMs));
    return { kind: "leaving", reason, untilMs, whenEmpty: ends.some(([, { whenEmpty }]) => whenEmpty) };
  }

  isAskedBy(reason: DrainReason): boolean {
    return this.#ends.has(reason);
  }

  leave(reason: DrainReason, end: End): void {
    if (this.#left === undefined) this.#ends.set(reason, end);
    else if (end.whenEmpty) {
      // It has gone already, for another reason: nothing is left to wait for.
      this.#left = undefined;
      this.#ends.set(reason, { ...end, untilMs: 0 });
    }
  }

  /** The reason has ended. */
  stay(reason: DrainReason): void {
    this.#ends.delete(reason);
    if (this.#left?.reason === reason) this.#left = undefined;
  }

  /** The reason to say goodbye for, now. */
  next(sessions: number, now: Instant): DrainReason | undefined {
    const { state } = this;
    if (state.kind !== "leaving") return undefined;
    const isDone = state.whenEmpty && sessions === 0;
    if (!isDone && now.monotonicMs < state.untilMs) return undefined;
    this.#left = { kind: "left", reason: state.reason, at: now, sessions };
    return state.reason;
  }

  nextDeadline(): number | undefined {
    const { state } = this;
    return state.kind === "leaving" ? state.untilMs : undefined;
  }
}
