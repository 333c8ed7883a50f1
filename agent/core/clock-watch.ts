import type { Instant } from "../../protocol/time.ts";
import type { Problem } from "./conditions.ts";

/** Slewing moves a clock by less; a step of this size was made by someone, ms. */
const stepMs = 2_000;
const shownForMs = 10 * 60_000;

/** Sees the wall clock being set. Nothing depends on it: durations run on the monotonic clock; people should know. */
export class ClockWatch {
  #offsetMs: number | undefined;
  #step: { readonly byMs: number; readonly untilMs: number } | undefined;

  observe(now: Instant): void {
    const offsetMs = now.wallMs - now.monotonicMs;
    const byMs = offsetMs - (this.#offsetMs ?? offsetMs);
    this.#offsetMs = offsetMs;
    if (Math.abs(byMs) >= stepMs) this.#step = { byMs, untilMs: now.monotonicMs + shownForMs };
    else if (this.#step !== undefined && now.monotonicMs >= this.#step.untilMs) this.#step = undefined;
  }

  problems(): Problem[] {
    if (this.#step === undefined) return [];
    return [{ code: "clock.stepped", facts: { "by seconds": Math.round(this.#step.byMs / 1000) } }];
  }

  nextDeadline(): number | undefined {
    return this.#step?.untilMs;
  }
}
