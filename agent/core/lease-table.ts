import { parseAddress } from "../../protocol/address.ts";
import type { Due } from "./lease-deadlines.ts";
import type { Queued } from "./lease-queue.ts";
import type { Pair, Place, PoolSlots } from "./pool-slots.ts";
import type { LeaseRow } from "./ports.ts";

/** What the configuration and AWS say of a lease's own addresses. Anything but `verified` is quarantine. */
export type Standing = "verified" | "unverified" | "unconfigured";

/** One pair that was ever leased, in whatever state: the row in memory, and what is known about it on disk. */
export interface Lease extends Pair, Due, Queued<Lease> {
  readonly pool: string;
  /** `device/pool` of its row, made once: it is asked for at every turn. */
  holder: string;
  row: LeaseRow;
  /** The row that was last confirmed on disk; undefined as soon as one is written that says another holder, or none. */
  disk: LeaseRow | undefined;
  /** While a grant is not on disk: what to go back to. `new`: there was no row. */
  before: LeaseRow | "new" | undefined;
  /** Its slot in its pool; undefined when the configuration pairs its addresses otherwise now, or not at all. */
  slot: number | undefined;
  standing: Standing;
  /** Its row is to be removed. */
  forgotten: boolean;
}

/** Device and pool: the key of a lease. Ids and names have no slash. */
export function holderKey(device: string, pool: string): string {
  return `${device}/${pool}`;
}

export function isLive(lease: Lease): boolean {
  return lease.row.state !== "free";
}

/** All leases, by address and by who had it last. BOUNDED: one per slot that was ever used. */
export class LeaseTable {
  readonly #byAddress = new Map<string, Lease>();
  /** The newest lease of each device and pool: its current one, or the one to come back to. */
  readonly #byHolder = new Map<string, Lease>();
  readonly #leases = new Set<Lease>();

  add(pair: Pair, row: LeaseRow): Lease {
    const lease: Lease = {
      ipv4: pair.ipv4,
      ipv6: pair.ipv6,
      pool: row.pool,
      holder: holderKey(row.device, row.pool),
      row,
      disk: undefined,
      before: undefined,
      slot: undefined,
      standing: "verified",
      forgotten: false,
      dueAtMs: 0,
      duePosition: -1,
      older: undefined,
      newer: undefined,
      queued: false,
    };
    this.#leases.add(lease);
    if (pair.ipv4 !== undefined) this.#byAddress.set(pair.ipv4, lease);
    if (pair.ipv6 !== undefined) this.#byAddress.set(pair.ipv6, lease);
    this.#byHolder.set(lease.holder, lease);
    return lease;
  }

  remove(lease: Lease): void {
    lease.forgotten = true;
    this.#leases.delete(lease);
    if (lease.ipv4 !== undefined) this.#byAddress.delete(lease.ipv4);
    if (lease.ipv6 !== undefined) this.#byAddress.delete(lease.ipv6);
    this.#unhold(lease);
  }

  replace(lease: Lease, row: LeaseRow): void {
    if (row.device !== lease.row.device) {
      this.#unhold(lease);
      lease.holder = holderKey(row.device, row.pool);
      this.#byHolder.set(lease.holder, lease);
    }
    lease.row = row;
  }

  /** The lease becomes the one its device comes back to. */
  hold(lease: Lease): void {
    this.#byHolder.set(lease.holder, lease);
  }

  hasAddressOf(pair: Pair): boolean {
    return (
      (pair.ipv4 !== undefined && this.#byAddress.has(pair.ipv4)) ||
      (pair.ipv6 !== undefined && this.#byAddress.has(pair.ipv6))
    );
  }

  byHolder(key: string): Lease | undefined {
    return this.#byHolder.get(key);
  }

  all(): Iterable<Lease> {
    return this.#leases;
  }

  #unhold(lease: Lease): void {
    if (this.#byHolder.get(lease.holder) === lease) this.#byHolder.delete(lease.holder);
  }
}

/** Where a pair stands in a pool as it is configured now, and which slot is exactly this pair, if one is. */
export function placeOf(pair: Pair, slots: PoolSlots): { standing: Standing; slot: number | undefined } {
  const first = placeOfAddress(pair.ipv4 ?? pair.ipv6, slots);
  if (first !== undefined && first.slot < slots.count) {
    const own = slots.pair(first.slot);
    if (own.ipv4 === pair.ipv4 && own.ipv6 === pair.ipv6) {
      return { standing: slots.isGrantable(first.slot) ? "verified" : "unverified", slot: first.slot };
    }
  }
  const places = placesOf(pair, slots);
  if (places.some((place) => place?.verified === false)) return { standing: "unverified", slot: undefined };
  return { standing: places.includes(undefined) ? "unconfigured" : "verified", slot: undefined };
}

/** Where each of a pair's addresses lies by itself. */
export function placesOf(pair: Pair, slots: PoolSlots): readonly (Place | undefined)[] {
  return [pair.ipv4, pair.ipv6].flatMap((text) => (text === undefined ? [] : [placeOfAddress(text, slots)]));
}

function placeOfAddress(text: string | undefined, slots: PoolSlots): Place | undefined {
  const address = text === undefined ? undefined : parseAddress(text);
  return address === undefined ? undefined : slots.locate(address.family, address.value);
}
