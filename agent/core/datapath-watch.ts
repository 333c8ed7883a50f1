import type { Instant } from "../../protocol/time.ts";
import type { Problem } from "./conditions.ts";
import { driftText } from "./firewall-drift.ts";
import { Recurring } from "./recurring.ts";

/** With 1,400 devices it costs 120 ms of processor time, nft's included. What changes the firewall is told as it happens. */
const pace = { everyMs: 10_000, perEntryMs: 50, restMsMax: 120_000 } as const;
/** Repaired at once, and shown for so long: whoever looks an hour later finds it in the log. */
const shownForMs = 10 * 60_000;

/** When the kernel is compared with the plan, and what somebody else was found to have changed. */
export class DataPathWatch {
  readonly #comparisons = new Recurring(pace);
  #drift: { readonly text: string; readonly times: number; readonly shownUntilMs: number } | undefined;

  /** As soon as may be. */
  demand(): void {
    this.#comparisons.demand();
  }

  /** Whether a comparison begins now. `mayCompare`: there is a plan to compare with, and nothing else is being done. */
  next(mayCompare: boolean, now: Instant): boolean {
    if (this.#drift !== undefined && now.monotonicMs >= this.#drift.shownUntilMs) this.#drift = undefined;
    return mayCompare && this.#comparisons.begin(now);
  }

  compared(drift: readonly string[], peers: number, now: Instant): void {
    this.#comparisons.end(peers, now);
    if (drift.length === 0) return;
    const times = (this.#drift?.times ?? 0) + 1;
    this.#drift = { text: driftText(drift), times, shownUntilMs: now.monotonicMs + shownForMs };
  }

  /** When the next comparison is due; undefined while one runs. */
  get dueAtMs(): number | undefined {
    return this.#comparisons.dueAtMs;
  }

  /** When the last drift is no longer shown. */
  get shownUntilMs(): number | undefined {
    return this.#drift?.shownUntilMs;
  }

  problems(): Problem[] {
    if (this.#drift === undefined) return [];
    const { text, times } = this.#drift;
    return [{ code: "datapath.drifted", facts: { changed: text, ...(times === 1 ? {} : { times }) } }];
  }
}
