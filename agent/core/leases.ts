import type { Core } from "../../protocol/core.ts";
import type { SessionOutcome } from "../../protocol/state.ts";
import { earliest, type Instant } from "../../protocol/time.ts";
import type { LeaseView, PoolCounts, SessionView } from "../../protocol/view.ts";
import { LeaseBook } from "./lease-book.ts";
import { LeaseChanges } from "./lease-changes.ts";
import type {
  DetachedLease,
  LeaseConditions,
  LeaseEffect,
  LeaseInput,
  LeasesOptions,
} from "./lease-inputs.ts";
import { LeaseRecovery } from "./lease-recovery.ts";
import { LeaseSessions } from "./lease-sessions.ts";
import { defaultCoolDownMs, LeaseClock } from "./lease-time.ts";
import { detachedLease, leaseView, outcomeOf, peerOf, sessionView } from "./lease-views.ts";
import type { DataPathPeer } from "./ports.ts";

export type {
  DetachedLease,
  LeaseConditions,
  LeaseEffect,
  LeaseInput,
  LeasesOptions,
} from "./lease-inputs.ts";

/** Who holds which address, and what is on disk about it. SPEC.md, "Leases", has the invariants. */
export class Leases implements Core<LeaseInput, LeaseEffect> {
  readonly #changes = new LeaseChanges();
  readonly #book: LeaseBook;
  readonly #recovery: LeaseRecovery;
  readonly #sessions: LeaseSessions;
  readonly #lostTo: string | undefined;
  /** The last configuration as text: a reading that changed nothing costs nothing. */
  #configuration: string | undefined;
  /** Made once for each that changes: a plan of all is asked for at every apply. BOUNDED: as the sessions. */
  readonly #peers = new Map<string, DataPathPeer>();

  constructor(options: LeasesOptions, now: Instant) {
    const { saved, bootId, coolDownMs = defaultCoolDownMs } = options;
    const changes = this.#changes;
    const clock = new LeaseClock(bootId, now);
    this.#lostTo = saved.lostTo;
    this.#recovery = new LeaseRecovery({ isLost: saved.lostTo !== undefined, coolDownMs });
    this.#book = new LeaseBook({ clock, coolDownMs, changes });
    this.#sessions = new LeaseSessions({ book: this.#book, changes, recovery: this.#recovery });
    this.#book.load(saved.leases, saved.clock, now);
  }

  handle(input: LeaseInput, now: Instant): readonly LeaseEffect[] {
    this.#book.followClock(now);
    this.#apply(input, now);
    this.#sessions.serveFreed(now);
    const isConcerned = this.#followPeers(input.kind === "ranges" ? this.#peers.keys() : []);
    const changed = this.#changes.take(isConcerned);
    return [this.#book.writes.next(), changed].filter((effect) => effect !== undefined);
  }

  nextDeadline(): number | undefined {
    const { writes } = this.#book;
    const recovered = writes.failing === undefined ? this.#recovery.endsAtMs : undefined;
    return earliest(this.#book.nextDeadline(), writes.retryAtMs, recovered);
  }

  /** What became of a session: only what is on disk; undefined while it is being granted, and for one unknown. */
  outcome(sessionId: string): SessionOutcome | undefined {
    const session = this.#sessions.get(sessionId);
    if (session === undefined) return undefined;
    const { failing } = this.#book.writes;
    const outcome = outcomeOf(session, failing);
    // After a lost database the tunnel still carries whom the controller names. That it cannot be written down ends nothing.
    const isCarried = !this.#recovery.isOver && session.spec.granted !== undefined;
    return isCarried && outcome?.outcome === "refused" && outcome.code === failing ? undefined : outcome;
  }

  /** Ids of the desired sessions. */
  *sessionIds(): Iterable<string> {
    for (const session of this.#sessions.all()) yield session.id;
  }

  /** The lease under `device/pool` that no session uses: cooling, or quarantined while it should cool. */
  detached(key: string): DetachedLease | undefined {
    const lease = this.#book.table.byHolder(key);
    return lease === undefined ? undefined : detachedLease(lease);
  }

  *detachedKeys(): Iterable<string> {
    for (const { row, holder } of this.#book.table.all()) {
      if (row.state === "cooling" && this.detached(holder) !== undefined) yield holder;
    }
  }

  /** Undefined for a pool that is not configured. */
  counts(pool: string): PoolCounts | undefined {
    return this.#book.pools.get(pool)?.counts();
  }

  poolNames(): readonly string[] {
    return this.#book.pools.all().map((pool) => pool.name);
  }

  /** Sessions whose addresses are their devices' on disk and routed here: what the data path forwards for. */
  peers(): readonly DataPathPeer[] {
    return [...this.#peers.values()];
  }

  /**
   * Whether `peers` are all there should be: not after a lost database, before the controller has said whom this instance
   * served and that is on disk again.
   */
  get arePeersKnown(): boolean {
    return this.#recovery.isOver || (!this.#recovery.isAwaiting && this.#book.writes.isIdle);
  }

  leaseViews(now: Instant): readonly LeaseView[] {
    return [...this.#book.table.all()].flatMap((lease) => leaseView(lease, now) ?? []);
  }

  sessionViews(now: Instant): readonly SessionView[] {
    const { failing } = this.#book.writes;
    return [...this.#sessions.all()].map((session) => sessionView(session, failing, now));
  }

  conditions(): LeaseConditions {
    const pools = this.#book.pools.all();
    return {
      full: pools.filter((pool) => pool.slots.grantableCount > 0 && pool.free === 0).map(({ name }) => name),
      uneven: pools.filter((pool) => pool.slots.uneven).map(({ name }) => name),
      store: this.#book.writes.failing,
      lostTo: this.#recovery.isOver ? undefined : this.#lostTo,
    };
  }

  /** Looks anew at the sessions that changed, and at `others`; whether any of them is or was a peer. */
  #followPeers(others: Iterable<string>): boolean {
    let isConcerned = false;
    for (const id of [...this.#changes.sessions, ...others]) {
      const session = this.#sessions.get(id);
      const group = this.#book.pools.get(session?.spec.pool ?? "")?.spec.group;
      const peer = session === undefined || group === undefined ? undefined : peerOf(session, group);
      isConcerned ||= peer !== undefined || this.#peers.has(id);
      if (peer === undefined) this.#peers.delete(id);
      else this.#peers.set(id, peer);
    }
    return isConcerned;
  }

  #apply(input: LeaseInput, now: Instant): void {
    switch (input.kind) {
      case "ranges":
        this.#configure(input, now);
        return;
      case "sessions":
        this.#sessions.desire(input, now);
        return;
      case "seen":
        this.#sessions.seen(input.sessions, now);
        this.#book.heard(input.throughMs);
        return;
      case "spare":
        this.#sessions.spare(input.untilMs);
        this.#book.heard();
        return;
      case "stored":
        this.#confirm(input.effectId, now);
        return;
      case "storeFailed": {
        const unwritten = this.#book.writes.failed(input.effectId, input.why, now.monotonicMs);
        if (unwritten !== undefined) this.#sessions.giveBack(unwritten, input.why);
        return;
      }
      case "tick":
        this.#tick(now);
        return;
    }
  }

  #configure(input: Extract<LeaseInput, { kind: "ranges" }>, now: Instant): void {
    const configuration = JSON.stringify([[...input.pools], [...input.verified].sort()]);
    if (configuration === this.#configuration) return;
    this.#configuration = configuration;
    this.#book.configure(input.pools, input.verified);
    this.#sessions.serveAll(now);
  }

  #confirm(effectId: number, now: Instant): void {
    const { writes } = this.#book;
    const wasFailing = writes.failing !== undefined;
    const rows = writes.stored(effectId);
    if (rows === undefined) return;
    this.#book.confirm(rows);
    if (!wasFailing) return;
    this.#recovery.restart(now);
    this.#sessions.serveAll(now);
  }

  #tick(now: Instant): void {
    const { writes } = this.#book;
    for (const lease of this.#book.takeExpired(now)) this.#sessions.expire(lease, now);
    const hasRecovered = writes.failing === undefined && this.#recovery.endIfDue(now);
    if (hasRecovered) writes.markRecovered();
    if (writes.retryIfDue(now.monotonicMs) || hasRecovered) this.#sessions.serveAll(now);
  }
}
