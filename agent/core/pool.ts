import type { PoolSpec } from "../../protocol/specs.ts";
import type { PoolCounts } from "../../protocol/view.ts";
import { LeaseQueue } from "./lease-queue.ts";
import type { Lease } from "./lease-table.ts";
import { type Pair, PoolSlots } from "./pool-slots.ts";

/** Free slots of one pool that keep a row for the device they were of: three times what an instance serves. */
const rememberedMax = 4_096;

type Counted = "leased" | "cooling" | "quarantined";

/**
 * One pool as it is configured and verified now: which slots are taken, which are free, and in which order they are
 * given. Slots that never had a lease are a cursor, not objects; those that had one queue by their last use.
 */
export class Pool {
  readonly name: string;
  readonly spec: PoolSpec;
  readonly slots: PoolSlots;
  /** BOUNDED: leases whose pair is a slot of this pool, in any state. */
  readonly #taken = new Map<number, Lease>();
  /** Slots that cannot be used because a lease under another pairing has one of their addresses, and how many have. */
  readonly #blocked = new Map<number, number>();
  readonly #queue = new LeaseQueue<Lease>();
  #counts: Record<Counted, number> = { leased: 0, cooling: 0, quarantined: 0 };
  /** Grantable slots that never had a lease and are not blocked. */
  #fresh: number;
  /** No such slot lies before it. */
  #cursor = 0;

  constructor(name: string, spec: PoolSpec, verified: ReadonlySet<string>) {
    this.name = name;
    this.spec = spec;
    this.slots = new PoolSlots(spec, verified);
    this.#fresh = this.slots.grantableCount;
  }

  counts(): PoolCounts {
    const { leased, cooling, quarantined } = this.#counts;
    const free = this.free;
    return { total: leased + cooling + quarantined + free, leased, cooling, quarantined, free };
  }

  get free(): number {
    return this.#fresh + this.#queue.length;
  }

  /**
   * The slot that never had a lease and comes next. It stays next until it is occupied. None while enough are remembered
   * whose device may come back: a /80 has more slots than there will ever be rows for.
   */
  nextFresh(isTaken: (pair: Pair) => boolean): { slot: number; pair: Pair } | undefined {
    if (this.#queue.length >= rememberedMax) return undefined;
    let slot = this.slots.nextGrantable(this.#cursor);
    while (slot !== undefined) {
      if (this.#isFresh(slot)) {
        const pair = this.slots.pair(slot);
        if (!isTaken(pair)) {
          this.#cursor = slot;
          return { slot, pair };
        }
      }
      slot = this.slots.nextGrantable(slot + 1);
    }
    this.#cursor = this.slots.count;
    return undefined;
  }

  oldestFree(): Lease | undefined {
    return this.#queue.oldest();
  }

  occupy(slot: number, lease: Lease): void {
    if (this.#isFresh(slot) && this.slots.isGrantable(slot)) this.#fresh -= 1;
    this.#taken.set(slot, lease);
  }

  vacate(slot: number): void {
    this.#taken.delete(slot);
    this.#refresh(slot);
  }

  block(slot: number): void {
    if (this.#isFresh(slot) && this.slots.isGrantable(slot)) this.#fresh -= 1;
    this.#blocked.set(slot, (this.#blocked.get(slot) ?? 0) + 1);
  }

  unblock(slot: number): void {
    const blockers = (this.#blocked.get(slot) ?? 0) - 1;
    if (blockers > 0) {
      this.#blocked.set(slot, blockers);
      return;
    }
    this.#blocked.delete(slot);
    this.#refresh(slot);
  }

  /** A lease that was just released. */
  queue(lease: Lease): void {
    this.#queue.append(lease);
  }

  /** Leases that were released before: after a configuration change, or given back unused. */
  restore(leases: readonly Lease[]): void {
    this.#queue.restore(leases);
  }

  unqueue(lease: Lease): void {
    this.#queue.remove(lease);
  }

  /** Counts a lease in (+1) or out (-1) as it stands. */
  count(lease: Lease, by: 1 | -1): void {
    const { state } = lease.row;
    if (state === "free") return;
    this.#counts[lease.standing === "verified" ? state : "quarantined"] += by;
  }

  #isFresh(slot: number): boolean {
    return !this.#taken.has(slot) && !this.#blocked.has(slot);
  }

  #refresh(slot: number): void {
    if (!this.#isFresh(slot) || !this.slots.isGrantable(slot)) return;
    this.#fresh += 1;
    this.#cursor = Math.min(this.#cursor, slot);
  }
}
