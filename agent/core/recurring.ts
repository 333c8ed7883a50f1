import type { Instant } from "../../protocol/time.ts";

export interface Pace {
  readonly everyMs: number;
  /** Rest for each entry that the work was about: what it costs grows with their number. */
  readonly perEntryMs: number;
  readonly restMsMax: number;
}

/**
 * Work that is repeated for ever, one at a time: every so often, and less often where there is more of it. How long it
 * took would be no measure: on a busy machine everything takes long.
 */
export class Recurring {
  readonly #pace: Pace;
  #state: { readonly is: "resting"; readonly untilMs: number } | { readonly is: "working" } = {
    is: "resting",
    untilMs: 0,
  };

  constructor(pace: Pace) {
    this.#pace = pace;
  }

  /** Whether it begins now. */
  begin(now: Instant): boolean {
    if (this.#state.is === "working" || now.monotonicMs < this.#state.untilMs) return false;
    this.#state = { is: "working" };
    return true;
  }

  end(entries: number, now: Instant): void {
    const { everyMs, perEntryMs, restMsMax } = this.#pace;
    const restMs = Math.max(everyMs, Math.min(restMsMax, entries * perEntryMs));
    if (this.#state.is === "working") this.#state = { is: "resting", untilMs: now.monotonicMs + restMs };
  }

  /** As soon as it rests, it is due. */
  demand(): void {
    if (this.#state.is === "resting") this.#state = { is: "resting", untilMs: 0 };
  }

  /** When it is due; undefined while it is being done. */
  get dueAtMs(): number | undefined {
    return this.#state.is === "working" ? undefined : this.#state.untilMs;
  }
}
