import type { FailureCode } from "../../protocol/failures.ts";
import type { Instant } from "../../protocol/time.ts";
import type { LeaseChanges } from "./lease-changes.ts";
import { Deadlines } from "./lease-deadlines.ts";
import { type Claim, inLoadingOrder, leasedRow } from "./lease-row.ts";
import { holderKey, isLive, type Lease, LeaseTable } from "./lease-table.ts";
import { isRenewalDue, type LeaseClock, leaseMs } from "./lease-time.ts";
import { LeaseWrites } from "./lease-writes.ts";
import { PoolMap } from "./pool-map.ts";
import type { Pair } from "./pool-slots.ts";
import type { LeaseRow, Pools, SavedClock } from "./ports.ts";

/** The lease time of a pool that is not configured yet, when a lost lease is rebuilt. Minutes, the product's default. */
const leaseMinutesDefault = 1440;

/**
 * Every lease on its way `leased → cooling → free`, the pools they fill and the writes they cost. Which sessions there are
 * and what they are told is decided above. Each change of state goes through `#change`.
 */
export class LeaseBook {
  readonly writes = new LeaseWrites();
  readonly table = new LeaseTable();
  readonly pools: PoolMap;
  readonly #changes: LeaseChanges;
  readonly #deadlines = new Deadlines<Lease>();
  readonly #clock: LeaseClock;
  readonly #coolDownMs: number;
  /** What ran out since devices were listened to: of each it is still to be seen whether it was. BOUNDED: live leases. */
  readonly #unheard = new Set<Lease>();
  #heardThroughMs = Number.NEGATIVE_INFINITY;
  #order = 0;

  constructor(options: { clock: LeaseClock; coolDownMs: number; changes: LeaseChanges }) {
    this.#clock = options.clock;
    this.#coolDownMs = options.coolDownMs;
    this.#changes = options.changes;
    this.pools = new PoolMap(options.changes);
  }

  /** Takes over what was on disk. A row of another boot is told in this boot's time, and written so. */
  load(rows: readonly LeaseRow[], saved: SavedClock | undefined, now: Instant): void {
    for (const row of inLoadingOrder(rows)) {
      const lease = this.table.add(row, row);
      lease.disk = row;
      this.#order = Math.max(this.#order, row.order);
      if (row.state === "free") continue;
      const resumed = this.#clock.resume(row, saved, this.#coolDownMs, now);
      this.#deadlines.set(lease, resumed.untilMonotonicMs);
      if (resumed === row) continue;
      this.table.replace(lease, resumed);
      this.writes.mark(lease);
    }
  }

  nextDeadline(): number | undefined {
    return this.#deadlines.next();
  }

  find(device: string, pool: string): Lease | undefined {
    return this.table.byHolder(holderKey(device, pool));
  }

  /** Leases a session its device's `former` address if that can be had, else the one unused for longest. */
  grant(claim: Claim, former: Lease | undefined, now: Instant): Lease | FailureCode {
    const pool = this.pools.get(claim.pool);
    if (pool === undefined) return this.pools.isConfigured ? "pool.unknown" : "pool.unverified";
    const canReturn =
      former !== undefined && former.row.state !== "leased" && this.pools.queueOf(former) === pool;
    if (canReturn) return this.extend(former, claim, now);
    const fresh = pool.nextFresh((pair) => this.table.hasAddressOf(pair));
    if (fresh !== undefined) return this.#add(fresh.pair, claim, now, fresh.slot);
    const oldest = pool.oldestFree();
    if (oldest !== undefined) return this.extend(oldest, claim, now);
    return pool.slots.grantableCount === 0 ? "pool.unverified" : "pool.full";
  }

  /** Leases the very addresses that a session is known to use; undefined when that cannot be. */
  rebuild(pair: Pair, claim: Claim, now: Instant): Lease | undefined {
    if ((pair.ipv4 ?? pair.ipv6) === undefined || this.table.hasAddressOf(pair)) return undefined;
    return this.#add(pair, claim, now, undefined);
  }

  /** Leases an address pair that has a row, in whatever state it is, to a session. */
  extend(lease: Lease, claim: Claim, now: Instant): Lease {
    this.pools.get(lease.pool)?.unqueue(lease);
    if (lease.row.state !== "leased") lease.before ??= lease.row;
    this.#change(lease, this.#leasedRow(lease, claim, now));
    this.#deadlines.set(lease, lease.row.untilMonotonicMs);
    this.table.hold(lease);
    return lease;
  }

  /** The address rests. A `session` stays on the row when the lease expired under it. */
  cool(lease: Lease, session: LeaseRow["session"], now: Instant): void {
    lease.before = undefined;
    this.#order += 1;
    const until = this.#clock.at(now.monotonicMs + this.#coolDownMs);
    this.#change(lease, { ...lease.row, state: "cooling", session, order: this.#order, ...until });
    this.#deadlines.set(lease, until.untilMonotonicMs);
  }

  /** The session that the lease expired under is no longer wanted. */
  clearSession(lease: Lease): void {
    this.#change(lease, { ...lease.row, session: undefined });
  }

  /** The device was heard: the lease lasts its whole time from then. Written only when a good part of it is gained. */
  renew(lease: Lease, seenAtMs: number): void {
    const minutes = this.pools.get(lease.pool)?.spec.leaseMinutes ?? lease.row.leaseMinutes;
    const endsAtMs = seenAtMs + leaseMs(minutes);
    if (endsAtMs <= lease.row.untilMonotonicMs) return;
    this.table.replace(lease, { ...lease.row, leaseMinutes: minutes, ...this.#clock.at(endsAtMs) });
    if (isRenewalDue(lease.disk?.untilMonotonicMs ?? 0, endsAtMs, minutes)) this.writes.mark(lease);
  }

  /** The lease does not end before then. In memory only: after a restart, too, nobody can say who is connected. */
  lastUntil(lease: Lease, untilMs: number): void {
    if (lease.row.state !== "leased" || untilMs <= lease.row.untilMonotonicMs) return;
    this.table.replace(lease, { ...lease.row, ...this.#clock.at(untilMs) });
  }

  /** Every device that sent something before `throughMs` has renewed its lease: what had run out by then is over. */
  heard(throughMs = this.#heardThroughMs): void {
    this.#heardThroughMs = throughMs;
    for (const lease of this.#unheard) {
      const isOpen = lease.row.state === "leased" && !lease.forgotten;
      if (isOpen) this.#deadlines.set(lease, lease.row.untilMonotonicMs);
    }
    this.#unheard.clear();
  }

  /** Undoes a grant that could not be written: the lease is what it was before. */
  giveBack(leases: readonly Lease[]): void {
    for (const lease of leases) {
      const { before } = lease;
      lease.before = undefined;
      if (before === "new") this.#forget(lease);
      else if (before !== undefined) this.#revert(lease, before);
    }
    this.pools.restore(leases.filter((lease) => !lease.forgotten && lease.row.state === "free"));
  }

  /** A write was confirmed. */
  confirm(rows: ReadonlyMap<Lease, LeaseRow>): void {
    for (const [lease, row] of rows) {
      const told = lease.disk;
      lease.disk = row;
      if (row.state === "leased" && lease.row.state === "leased") lease.before = undefined;
      if (
        told?.state !== row.state ||
        told.session?.id !== row.session?.id ||
        told.session?.epoch !== row.session?.epoch
      ) {
        this.#touch(lease);
      }
      this.#awaitCoolDown(lease);
    }
  }

  /** Ends cool-downs, and returns the leases that expired unheard: they are still to be cooled. */
  takeExpired(now: Instant): Lease[] {
    const expired: Lease[] = [];
    for (;;) {
      const lease = this.#deadlines.takeDue(now.monotonicMs);
      if (lease === undefined) return expired;
      const endsAtMs = lease.row.untilMonotonicMs;
      if (endsAtMs > now.monotonicMs) this.#deadlines.set(lease, endsAtMs);
      else if (lease.row.state === "cooling") this.#release(lease);
      else if (endsAtMs <= this.#heardThroughMs) expired.push(lease);
      else this.#unheard.add(lease);
    }
  }

  /** After the wall clock was set: the same ends, told in the new wall time. */
  followClock(now: Instant): void {
    if (!this.#clock.hasStepped(now)) return;
    for (const lease of this.table.all()) {
      if (!isLive(lease)) continue;
      this.table.replace(lease, { ...lease.row, ...this.#clock.at(lease.row.untilMonotonicMs) });
      this.writes.mark(lease);
    }
  }

  configure(pools: Pools, verified: ReadonlySet<string>): void {
    const leases = [...this.table.all()];
    for (const lease of leases) this.pools.get(lease.pool)?.unqueue(lease);
    this.pools.configure(pools, verified);
    for (const lease of leases) {
      const { standing } = lease;
      this.pools.place(lease);
      if (lease.standing !== standing) this.#touch(lease);
      this.#forgetIfUseless(lease);
      this.#awaitCoolDown(lease);
    }
    this.pools.restore(leases.filter((lease) => !lease.forgotten && lease.row.state === "free"));
  }

  #add(pair: Pair, claim: Claim, now: Instant, slot: number | undefined): Lease {
    const lease = this.table.add(pair, this.#leasedRow(pair, claim, now));
    lease.before = "new";
    lease.slot = slot;
    if (slot === undefined) this.pools.place(lease);
    else this.pools.occupy(lease);
    this.writes.mark(lease);
    this.#touch(lease);
    this.#deadlines.set(lease, lease.row.untilMonotonicMs);
    return lease;
  }

  #leasedRow(pair: Pair, claim: Claim, now: Instant): LeaseRow {
    const leaseMinutes = this.pools.get(claim.pool)?.spec.leaseMinutes ?? leaseMinutesDefault;
    this.#order += 1;
    const until = this.#clock.at(now.monotonicMs + leaseMs(leaseMinutes));
    return leasedRow(pair, claim, { leaseMinutes, order: this.#order, until });
  }

  #change(lease: Lease, row: LeaseRow): void {
    const pool = this.pools.get(lease.pool);
    this.#touch(lease);
    pool?.count(lease, -1);
    this.table.replace(lease, row);
    pool?.count(lease, 1);
    this.#touch(lease);
    this.writes.mark(lease);
  }

  #revert(lease: Lease, before: LeaseRow): void {
    this.#touch(lease);
    this.pools.vacate(lease);
    this.table.replace(lease, before);
    this.pools.place(lease);
    this.#touch(lease);
    this.writes.mark(lease);
    this.#deadlines.delete(lease);
    this.#awaitCoolDown(lease);
    this.#forgetIfUseless(lease);
  }

  #touch(lease: Lease): void {
    this.#changes.pools.add(lease.pool);
    if (lease.row.state === "cooling") this.#changes.holders.add(lease.holder);
    if (lease.row.session !== undefined) this.#changes.sessions.add(lease.row.session.id);
  }

  /** A cool-down may have been waiting for its write, or for its range. */
  #awaitCoolDown(lease: Lease): void {
    if (lease.row.state !== "cooling" || lease.forgotten) return;
    this.#deadlines.set(lease, lease.row.untilMonotonicMs);
  }

  /** Its cool-down is over. Not free while its range is in doubt, or while the disk may still say that it is leased. */
  #release(lease: Lease): void {
    if (!this.pools.isConfigured || lease.standing === "unverified" || this.writes.isPending(lease)) return;
    const pool = this.pools.queueOf(lease);
    if (pool === undefined) {
      this.#forget(lease);
      return;
    }
    this.#order += 1;
    this.#change(lease, { ...lease.row, state: "free", order: this.#order, ...this.#clock.never() });
    pool.queue(lease);
  }

  /** A free row that is no slot any more remembers nothing that could be used. */
  #forgetIfUseless(lease: Lease): void {
    if (lease.row.state === "free" && lease.slot === undefined) this.#forget(lease);
  }

  #forget(lease: Lease): void {
    this.#touch(lease);
    this.#deadlines.delete(lease);
    this.pools.vacate(lease);
    this.table.remove(lease);
    this.writes.mark(lease);
  }
}
