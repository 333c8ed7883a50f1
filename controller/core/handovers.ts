import type { Instant } from "../../protocol/time.ts";
import type { DeviceFacts } from "./fleet.ts";
import type { Verdict } from "./judgement.ts";
import type { Leaving, SessionRow } from "./rows.ts";
import { isHandedOver } from "./session-next.ts";
import { Timers } from "./timers.ts";

/** Which of the places that sessions leave are over: left by the device, ended by the instance, or too late. */
export class Handovers {
  /** Of granted moves, by device. BOUNDED: sessions. */
  readonly #timers = new Timers();
  readonly #overdue = new Set<string>();
  /** By device, the epoch whose place its instance has ended. BOUNDED: sessions. */
  readonly #ended = new Map<string, number>();

  /** The row as it is stored now. `untilMs` is wall time, and no wall clock makes it longer than `mostMs`. */
  follow({ device, leaving }: SessionRow, now: Instant, mostMs: number): void {
    if (leaving === null) this.forget(device);
    else if (leaving.untilMs === null) {
      this.#timers.delete(device);
      this.#overdue.delete(device);
    } else if (!this.#timers.has(device) && !this.#overdue.has(device)) {
      const leftMs = Math.min(mostMs, Math.max(0, leaving.untilMs - now.wallMs));
      this.#timers.set(device, now.monotonicMs + leftMs);
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
    return (
      session.place.is === "attached" && (this.#overdue.has(session.device) || isHandedOver(session, device))
    );
  }

  /** Devices whose time has come. */
  take(now: Instant): readonly string[] {
    const due = this.#timers.take(now.monotonicMs);
    for (const device of due) this.#overdue.add(device);
    return due;
  }

  nextDeadline(): number | undefined {
    return this.#timers.next();
  }
}
