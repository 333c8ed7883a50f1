import type { Instant } from "../../protocol/time.ts";
import type { LeaseRow, SavedClock } from "./ports.ts";

export const defaultCoolDownMs = 240_000;

/** The wall clock may drift this far from where the rows were told it stands before their wall times are rewritten, ms. */
const stepMsMin = 30_000;

/** A renewal goes to disk when it moves the end by a tenth of the lease, five minutes at most: the rest a crash may cost. */
const renewalLossMsMax = 5 * 60_000;

export type Until = Pick<LeaseRow, "untilMonotonicMs" | "untilWallMs" | "bootId">;

/** Durations run on the monotonic clock. The wall time beside it is for the next boot, where nothing else is left. */
export class LeaseClock {
  readonly #bootId: string;
  /** Wall minus monotonic time, as the rows have it. */
  #offsetMs: number;

  constructor(bootId: string, now: Instant) {
    this.#bootId = bootId;
    this.#offsetMs = now.wallMs - now.monotonicMs;
  }

  /** Whether the wall clock was set since the rows were told where it stands. */
  hasStepped(now: Instant): boolean {
    const offsetMs = now.wallMs - now.monotonicMs;
    if (Math.abs(offsetMs - this.#offsetMs) < stepMsMin) return false;
    this.#offsetMs = offsetMs;
    return true;
  }

  at(monotonicMs: number): Until {
    return {
      untilMonotonicMs: monotonicMs,
      untilWallMs: Math.round(monotonicMs + this.#offsetMs),
      bootId: this.#bootId,
    };
  }

  never(): Until {
    return { untilMonotonicMs: 0, untilWallMs: 0, bootId: this.#bootId };
  }

  /**
   * A saved row, live, in this boot's time. In the same boot it ends exactly when it would have, whatever the wall clock
   * did; in another one a lease has what the wall clock leaves it, at most its whole time, and a cool-down starts again.
   */
  resume(row: LeaseRow, saved: SavedClock | undefined, coolDownMs: number, now: Instant): LeaseRow {
    if (row.bootId === this.#bootId) {
      const until = this.at(row.untilMonotonicMs);
      return Math.abs(until.untilWallMs - row.untilWallMs) < stepMsMin ? row : { ...row, ...until };
    }
    if (row.state === "cooling") return { ...row, ...this.at(now.monotonicMs + coolDownMs) };
    const wallMs = Math.max(now.wallMs, saved?.wallMs ?? 0);
    const leftMs = Math.min(Math.max(0, row.untilWallMs - wallMs), leaseMs(row.leaseMinutes));
    return { ...row, ...this.at(now.monotonicMs + leftMs) };
  }
}

export function leaseMs(minutes: number): number {
  return minutes * 60_000;
}

/** Whether the end of a lease has moved so far since it was last written that it should be written again. */
export function isRenewalDue(written: number, renewed: number, minutes: number): boolean {
  return renewed - written >= Math.min(leaseMs(minutes) / 10, renewalLossMsMax);
}
