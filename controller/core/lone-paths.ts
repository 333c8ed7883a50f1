import type { Instant } from "../../protocol/time.ts";
import type { CoreSettings } from "./settings.ts";
import { Timers } from "./timers.ts";

interface Moves {
  readonly count: number;
  readonly atMs: number;
}

/** A device whose own network is bad would else be sent around the group. */
const backoff = { firstMs: 30_000, maxMs: 900_000 } as const;

/**
 * Devices that say their path is dead while their instance is well: each is moved by itself, after a grace in which it may
 * recover, and after each such move it has to wait longer for the next.
 */
export class LonePaths {
  readonly #graceMs: number;
  /** BOUNDED: devices that say dead. */
  readonly #timers = new Timers(100);
  /** Those whose time has come. BOUNDED: devices that say dead. */
  readonly #lasting = new Set<string>();
  /** BOUNDED: devices, until they were well for longer than they would have to wait. */
  readonly #moves = new Map<string, Moves>();

  constructor({ pathGraceMs }: Pick<CoreSettings, "pathGraceMs">) {
    this.#graceMs = pathGraceMs;
  }

  dead(device: string, { monotonicMs }: Instant): void {
    if (this.#timers.has(device) || this.#lasting.has(device)) return;
    this.#timers.set(device, Math.max(monotonicMs + this.#graceMs, this.#notBefore(device)));
  }

  /** It says alive, or nothing that counts. */
  notDead(device: string, now: Instant): void {
    this.#timers.delete(device);
    this.#lasting.delete(device);
    const moves = this.#moves.get(device);
    if (moves !== undefined && now.monotonicMs - moves.atMs > 2 * waitMs(moves.count))
      this.#moves.delete(device);
  }

  moved(device: string, now: Instant): void {
    const count = (this.#moves.get(device)?.count ?? 0) + 1;
    this.#moves.set(device, { count, atMs: now.monotonicMs });
  }

  forget(device: string): void {
    this.#timers.delete(device);
    this.#lasting.delete(device);
    this.#moves.delete(device);
  }

  isLasting(device: string): boolean {
    return this.#lasting.has(device);
  }

  /** Devices that have become lasting by now. */
  take(now: Instant): readonly string[] {
    const due = this.#timers.take(now.monotonicMs);
    for (const device of due) this.#lasting.add(device);
    return due;
  }

  nextDeadline(): number | undefined {
    return this.#timers.next();
  }

  #notBefore(device: string): number {
    const moves = this.#moves.get(device);
    return moves === undefined ? 0 : moves.atMs + waitMs(moves.count);
  }
}

function waitMs(count: number): number {
  return Math.min(backoff.maxMs, backoff.firstMs * 2 ** Math.min(count - 1, 16));
}
