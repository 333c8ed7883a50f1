import type { FailureFacts } from "../../protocol/failures.ts";
import type { Instant } from "../../protocol/time.ts";
import type { Problem } from "./conditions.ts";
import type {
  LifecycleState,
  Look,
  NoticesReading,
  Reading,
  RebalanceNotice,
  SpotNotice,
} from "./notice-shapes.ts";
import { Recurring } from "./recurring.ts";

/** As often as AWS advises: a spot notice leaves two minutes. */
const pace = { everyMs: 5_000, perEntryMs: 0, restMsMax: 5_000 } as const;
/** Each so many looks are at everything, the first among them. */
const allEvery = 3;
/** A notice counts when it is there, and as taken back only after so many looks in a row that know of none. */
const absentMin = 3;

/** What AWS announces: read for ever, and believed by the same rules as prefixes. */
export class Notices {
  readonly #recurring = new Recurring(pace);
  #effects = 0;
  #reading: number | undefined;
  readonly #spot = new Notice<SpotNotice>();
  readonly #rebalance = new Notice<RebalanceNotice>();
  readonly #autoscaling = new Notice<LifecycleState>();

  /** Undefined: not known yet, so what was known before the restart stands. */
  get spot(): Known<SpotNotice> {
    return this.#spot.known;
  }

  get rebalance(): Known<RebalanceNotice> {
    return this.#rebalance.known;
  }

  get autoscaling(): Known<LifecycleState> {
    return this.#autoscaling.known;
  }

  /** The look that begins now. */
  next(now: Instant): { readonly effectId: number; readonly look: Look } | undefined {
    if (!this.#recurring.begin(now)) return undefined;
    const look = this.#effects % allEvery === 0 ? "all" : "spot";
    this.#reading = ++this.#effects;
    return { effectId: this.#reading, look };
  }

  /** Whether this was waited for. */
  take(effectId: number, reading: NoticesReading, now: Instant): boolean {
    if (effectId !== this.#reading) return false;
    this.#reading = undefined;
    this.#recurring.end(0, now);
    this.#spot.take(reading.spot);
    if (reading.rebalance !== undefined) this.#rebalance.take(reading.rebalance);
    if (reading.autoscaling !== undefined) this.#autoscaling.take(reading.autoscaling);
    return true;
  }

  problems(): Problem[] {
    const problems: Problem[] = [];
    const spot = this.spot?.value;
    const rebalance = this.rebalance?.value;
    if (spot !== undefined) {
      problems.push({ code: "notice.spot", facts: { action: spot.action, at: timeText(spot.atMs) } });
    }
    if (rebalance !== undefined) {
      problems.push({ code: "notice.rebalance", facts: { since: timeText(rebalance.noticedMs) } });
    }
    const unread = this.#spot.unread ?? this.#rebalance.unread ?? this.#autoscaling.unread;
    if (unread !== undefined) problems.push({ code: "notice.unreadable", facts: unread });
    return problems;
  }

  nextDeadline(): number | undefined {
    return this.#recurring.dueAtMs;
  }
}

type Known<T> = { readonly value: T | undefined } | undefined;

/** One kind of notice over time. */
class Notice<T> {
  #known: Known<T>;
  /** Looks in a row that knew of none. */
  #absent = 0;
  #unread: FailureFacts | undefined;

  get known(): Known<T> {
    return this.#known;
  }

  /** Why the last look did not tell; undefined when it did. */
  get unread(): FailureFacts | undefined {
    return this.#unread;
  }

  take(reading: Reading<T>): void {
    switch (reading.is) {
      case "unknown":
        this.#unread = { why: reading.why, ...reading.facts };
        return;
      case "known": {
        this.#unread = undefined;
        this.#absent = reading.value === undefined ? this.#absent + 1 : 0;
        const isStillThere =
          reading.value === undefined && this.#known !== undefined && this.#absent < absentMin;
        if (!isStillThere) this.#known = { value: reading.value };
      }
    }
  }
}

function timeText(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, "Z");
}
