import type { LeaseChanges } from "./lease-changes.ts";
import { isLive, type Lease, placeOf, placesOf } from "./lease-table.ts";
import { Pool } from "./pool.ts";
import type { Pools } from "./ports.ts";

/** The configured pools, and where every lease stands in them. */
export class PoolMap {
  /** Undefined until the first configuration: no lease is in doubt before, and none is granted. */
  #pools: ReadonlyMap<string, Pool> | undefined;
  readonly #changes: LeaseChanges;

  constructor(changes: LeaseChanges) {
    this.#changes = changes;
  }

  get isConfigured(): boolean {
    return this.#pools !== undefined;
  }

  get(name: string): Pool | undefined {
    return this.#pools?.get(name);
  }

  all(): readonly Pool[] {
    return [...(this.#pools?.values() ?? [])];
  }

  /** Replaces the configuration; every lease has to be placed anew. */
  configure(pools: Pools, verified: ReadonlySet<string>): void {
    for (const name of [...(this.#pools?.keys() ?? []), ...pools.keys()]) this.#changes.pools.add(name);
    this.#pools = new Map([...pools].map(([name, spec]) => [name, new Pool(name, spec, verified)]));
  }

  /** Finds out where a lease stands, and takes its slot, or the slots that its addresses belong to now. */
  place(lease: Lease): void {
    const pool = this.get(lease.pool);
    const found = pool === undefined ? undefined : placeOf(lease, pool.slots);
    lease.standing = found?.standing ?? (this.isConfigured ? "unconfigured" : "verified");
    lease.slot = found?.slot;
    this.occupy(lease);
  }

  /** Counts a lease in and takes its slot; `standing` and `slot` are known. */
  occupy(lease: Lease): void {
    const pool = this.get(lease.pool);
    pool?.count(lease, 1);
    this.#changes.pools.add(lease.pool);
    if (pool !== undefined && lease.slot !== undefined) pool.occupy(lease.slot, lease);
    else if (isLive(lease)) this.#eachSlotHit(lease, (hit, slot) => hit.block(slot));
  }

  /** The opposite of `occupy`. */
  vacate(lease: Lease): void {
    const pool = this.get(lease.pool);
    pool?.count(lease, -1);
    this.#changes.pools.add(lease.pool);
    if (pool !== undefined && lease.slot !== undefined) {
      pool.unqueue(lease);
      pool.vacate(lease.slot);
    } else if (isLive(lease)) this.#eachSlotHit(lease, (hit, slot) => hit.unblock(slot));
  }

  /** The pool whose queue a free lease waits in: none when its pair cannot be granted as it is configured now. */
  queueOf(lease: Lease): Pool | undefined {
    return lease.slot !== undefined && lease.standing === "verified" ? this.get(lease.pool) : undefined;
  }

  /** Puts free leases into their pools' queues, where their order says. */
  restore(leases: readonly Lease[]): void {
    for (const [pool, members] of Map.groupBy(leases, (lease) => this.queueOf(lease))) pool?.restore(members);
  }

  /** A pair that is no slot keeps up to two slots from being used, perhaps of other pools. */
  #eachSlotHit(lease: Lease, visit: (pool: Pool, slot: number) => void): void {
    for (const pool of this.all()) {
      const hit = new Set(
        placesOf(lease, pool.slots).flatMap((place) => (place === undefined ? [] : [place.slot])),
      );
      for (const slot of hit) visit(pool, slot);
      if (hit.size > 0) this.#changes.pools.add(pool.name);
    }
  }
}
