import type { Instant } from "../../protocol/time.ts";
import type { DeviceFacts } from "./fleet.ts";
import type { Verdict } from "./judgement.ts";
import type { Leaving, SessionRow } from "./rows.ts";
import type { CoreSettings } from "./settings.ts";
import { Timers } from "./timers.ts";

/** Which of the places that sessions leave are over: left by the device, ended by the instance, or too late. */
export class Handovers {
  readonly #deadlineMs: number;
  readonly #returnMs: number;
  /** Of granted moves, by device. BOUNDED: sessions. */
  readonly #timers = new Timers();
  readonly #overdue = new Set<string>();
  /** By device, the epoch whose place its instance has ended. BOUNDED: sessions. */
  readonly #ended = new Map<string, number>();

  constructor({ drainDeadlineMs, returnGraceMs }: Pick<CoreSettings, "drainDeadlineMs" | "returnGraceMs">) {
    this.#deadlineMs = drainDeadlineMs;
    this.#returnMs = returnGraceMs;
  }

  /** As it was found at the start. A device that could not be told of its new place has time to come back and hear of it. */
  found(session: SessionRow, now: Instant): void {
    this.follow(session, now, this.#returnMs);
  }

  /** The row as it is stored now. No wall clock makes its deadline longer than it is. */
  follow({ device, leaving }: SessionRow, now: Instant, leastMs = 0): void {
    if (leaving === null) this.forget(device);
    else if (leaving.untilMs === null) {
      this.#timers.delete(device);
      this.#overdue.delete(device);
    } else if (!this.#timers.has(device) && !this.#overdue.has(device)) {
      const leftMs = Math.min(this.#deadlineMs, leaving.untilMs - now.wallMs);
      this.#timers.set(device, now.monotonicMs + Math.max(leastMs, leftMs));
    }
  }

  forget(device: string): void {
    this.#timers.delete(device);
    this.#overdue.delete(device);
    this.#ended.delete(device);
  }

  /** The instance that is left has refused or ended what it served. */
  ended({ device }: SessionRow, epoch: number): void {
    this.#ended.set(device, epoch);
  }

  isOver(
    session: SessionRow,
    leaving: Leaving,
    device: DeviceFacts | undefined,
    /** About the instance that is left. */
    verdict: Verdict,
  ): boolean {
    if (this.#ended.get(session.device) === leaving.epoch) return true;
    if (verdict.is === "gone" && verdict.why === "goodbye") return true;
    // An instance that nobody hears may forward still, so it is not let go of for that.
    if (hasLeft(device, session, leaving)) return true;
    return session.place.is === "attached" && this.#overdue.has(session.device);
  }

  /**
   * Devices whose time has come. One whose new place has turned out to be lost begins its time anew: a deadline is no
   * reason to take away the only path that may work.
   */
  take(now: Instant, isPlaceLost: (device: string) => boolean): readonly string[] {
    const due = this.#timers.take(now.monotonicMs);
    for (const device of due) {
      if (isPlaceLost(device)) this.#timers.set(device, now.monotonicMs + this.#deadlineMs);
      else this.#overdue.add(device);
    }
    return due;
  }

  nextDeadline(): number | undefined {
    return this.#timers.next();
  }
}

/** A device says that it holds a later place when its packets take that, and never goes back to a lower epoch. */
function hasLeft(device: DeviceFacts | undefined, { id }: SessionRow, { epoch }: Leaving): boolean {
  return device?.held?.session === id && device.held.epoch > epoch;
}
