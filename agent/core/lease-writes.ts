import type { FailureCode } from "../../protocol/failures.ts";
import type { LeaseEffect } from "./lease-inputs.ts";
import type { Lease } from "./lease-table.ts";
import { type LeaseRow, pairKey } from "./ports.ts";

const retryAfterMsMin = 250;
const retryAfterMsMax = 5_000;

/**
 * What memory holds that the disk does not know yet. One write is on its way at a time; what changes meanwhile goes with
 * the next. After a failure nothing is written until `retryAtMs`, and then everything that is due at once: a failed
 * write may have reached the disk all the same, so its rows count as unwritten until a later write confirms them.
 */
export class LeaseWrites {
  /**
   * The latest of each address pair: one that was given back and is tried again replaces itself. BOUNDED: by the pairs of
   * the leases, and of those forgotten since the last write.
   */
  #unwritten = new Map<string, Lease>();
  #inFlight: { effectId: number; rows: ReadonlyMap<Lease, LeaseRow>; recovered: boolean } | undefined;
  #effectId = 0;
  #recovered = false;
  #attempt = 0;
  #failing: { why: FailureCode; retryAtMs: number | undefined } | undefined;

  /** Why the last write failed, until one succeeds. */
  get failing(): FailureCode | undefined {
    return this.#failing?.why;
  }

  get retryAtMs(): number | undefined {
    return this.#failing?.retryAtMs;
  }

  /** Memory and disk agree. */
  get isIdle(): boolean {
    return this.#unwritten.size === 0 && this.#inFlight === undefined;
  }

  mark(lease: Lease): void {
    this.#unwritten.set(keyOf(lease), lease);
  }

  /** The next write tells the store that its lost database has been recovered from. */
  markRecovered(): void {
    this.#recovered = true;
  }

  isPending(lease: Lease): boolean {
    return this.#unwritten.get(keyOf(lease)) === lease || (this.#inFlight?.rows.has(lease) ?? false);
  }

  /** Ends the wait after a failure, if it is over. */
  retryIfDue(nowMs: number): boolean {
    if (this.#failing?.retryAtMs === undefined || nowMs < this.#failing.retryAtMs) return false;
    this.#failing.retryAtMs = undefined;
    return true;
  }

  /** The write to do now. */
  next(): Extract<LeaseEffect, { do: "store" }> | undefined {
    if (this.#inFlight !== undefined || this.#failing?.retryAtMs !== undefined) return undefined;
    if (this.#unwritten.size === 0 && !this.#recovered) return undefined;
    const written = new Map<Lease, LeaseRow>();
    const rows: LeaseRow[] = [];
    const forgotten: string[] = [];
    for (const [pair, lease] of this.#unwritten) {
      written.set(lease, lease.row);
      // From here on the disk may have either, also when the write is said to have failed.
      if (!hasSameHolder(lease.disk, lease.row)) lease.disk = undefined;
      if (lease.forgotten) forgotten.push(pair);
      else rows.push(lease.row);
    }
    this.#effectId += 1;
    this.#inFlight = { effectId: this.#effectId, rows: written, recovered: this.#recovered };
    this.#unwritten = new Map();
    this.#recovered = false;
    return { do: "store", effectId: this.#effectId, rows, forgotten, recovered: this.#inFlight.recovered };
  }

  /** What is on disk now; undefined when nobody waits for this result. */
  stored(effectId: number): ReadonlyMap<Lease, LeaseRow> | undefined {
    if (this.#inFlight?.effectId !== effectId) return undefined;
    const { rows } = this.#inFlight;
    this.#inFlight = undefined;
    this.#failing = undefined;
    this.#attempt = 0;
    return rows;
  }

  /** Everything that is not on disk now; undefined when nobody waits for this result. */
  failed(effectId: number, why: FailureCode, nowMs: number): ReadonlySet<Lease> | undefined {
    if (this.#inFlight?.effectId !== effectId) return undefined;
    for (const lease of this.#inFlight.rows.keys()) {
      if (!this.#unwritten.has(keyOf(lease))) this.mark(lease);
    }
    this.#recovered ||= this.#inFlight.recovered;
    this.#inFlight = undefined;
    const waitMs = Math.min(retryAfterMsMax, retryAfterMsMin * 2 ** this.#attempt);
    this.#attempt += 1;
    this.#failing = { why, retryAtMs: nowMs + waitMs };
    return new Set(this.#unwritten.values());
  }
}

function hasSameHolder(disk: LeaseRow | undefined, row: LeaseRow): boolean {
  return disk?.state === row.state && disk.device === row.device;
}

function keyOf({ ipv4, ipv6 }: Lease): string {
  return pairKey(ipv4, ipv6);
}
