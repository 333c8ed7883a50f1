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

/**
 * Whether the instance leaves the group, which ending its process alone is not: only who was told to leave, or is about to
 * lose the machine, says goodbye. Who has left does not dial again, and serves on whom it still carries.
 */
export class Departure {
  #state: DepartureState = { kind: "staying" };

  get state(): DepartureState {
    return this.#state;
  }

  /** Of two departures the earlier end counts, and the one that need not wait for it. */
  leave(reason: DrainReason, untilMs: number, whenEmpty: boolean): void {
    const state = this.#state;
    switch (state.kind) {
      case "left":
        // It has gone already, for another reason: nothing is left to wait for.
        if (whenEmpty) this.#state = { kind: "leaving", reason, untilMs: 0, whenEmpty };
        return;
      case "staying":
        this.#state = { kind: "leaving", reason, untilMs, whenEmpty };
        return;
      case "leaving": {
        const isSame = state.reason === reason;
        this.#state = {
          kind: "leaving",
          reason: whenEmpty ? reason : state.reason,
          untilMs: isSame ? untilMs : Math.min(state.untilMs, untilMs),
          whenEmpty: whenEmpty || state.whenEmpty,
        };
      }
    }
  }

  /** The reason has ended. */
  stay(reason: DrainReason): void {
    if (this.#state.kind !== "staying" && this.#state.reason === reason) this.#state = { kind: "staying" };
  }

  /** The reason to say goodbye for, now. */
  next(sessions: number, now: Instant): DrainReason | undefined {
    const state = this.#state;
    if (state.kind !== "leaving") return undefined;
    const isDone = state.whenEmpty && sessions === 0;
    if (!isDone && now.monotonicMs < state.untilMs) return undefined;
    this.#state = { kind: "left", reason: state.reason, at: now, sessions };
    return state.reason;
  }

  nextDeadline(): number | undefined {
    return this.#state.kind === "leaving" ? this.#state.untilMs : undefined;
  }
}
