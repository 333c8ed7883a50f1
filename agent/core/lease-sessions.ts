import { parseAddress } from "../../protocol/address.ts";
import type { FailureCode } from "../../protocol/failures.ts";
import type { SessionSpec } from "../../protocol/specs.ts";
import type { Instant } from "../../protocol/time.ts";
import type { LeaseBook } from "./lease-book.ts";
import type { LeaseChanges } from "./lease-changes.ts";
import type { LeaseInput } from "./lease-inputs.ts";
import type { LeaseRecovery } from "./lease-recovery.ts";
import type { Claim } from "./lease-row.ts";
import type { Lease } from "./lease-table.ts";
import { isOnDisk } from "./lease-views.ts";
import { WaitingSessions } from "./lease-waiting.ts";

/** What a session has. Whether it may be told so depends on the disk: see `outcomeOf`. */
export type SessionPlace =
  | { readonly kind: "holding"; readonly lease: Lease }
  | { readonly kind: "waiting"; readonly why: FailureCode }
  /** Over on this side until the controller says something new about it. */
  | { readonly kind: "ended"; readonly why: "lease.expired" | "lease.superseded" };

export interface Session {
  readonly id: string;
  spec: SessionSpec;
  place: SessionPlace;
  /** The input that set this epoch. */
  since: number;
  /** Monotonic. */
  seenAtMs: number | undefined;
}

/** The sessions the controller wants served, and which of them has which lease. BOUNDED: entries of the desired state. */
export class LeaseSessions {
  readonly #sessions = new Map<string, Session>();
  readonly #waiting = new WaitingSessions();
  readonly #book: LeaseBook;
  readonly #changes: LeaseChanges;
  readonly #recovery: LeaseRecovery;
  #input = 0;

  constructor(parts: { book: LeaseBook; changes: LeaseChanges; recovery: LeaseRecovery }) {
    this.#book = parts.book;
    this.#changes = parts.changes;
    this.#recovery = parts.recovery;
  }

  get(id: string): Session | undefined {
    return this.#sessions.get(id);
  }

  all(): Iterable<Session> {
    return this.#sessions.values();
  }

  /** Applies what the controller wants. Sessions that find their own lease go first, so that no other takes it over. */
  desire(input: Extract<LeaseInput, { kind: "sessions" }>, now: Instant): void {
    this.#input += 1;
    for (const id of input.over) this.#end(id, now);
    if (input.snapshot) {
      const named = new Set(input.set.map(([id]) => id));
      for (const id of this.#sessions.keys()) if (!named.has(id)) this.#end(id, now);
      if (input.from === "controller") this.#recovery.snapshotArrived(now);
    }
    const asking = input.set
      .map(([id, spec]) => this.#take(id, spec, now))
      .filter((session) => session !== undefined)
      .filter((session) => !this.#resume(session));
    for (const session of asking) this.#place(session, now);
    if (input.snapshot && input.from === "controller") this.#coolUnclaimed(now);
  }

  seen(sessions: Iterable<readonly [id: string, atMonotonicMs: number]>, now: Instant): void {
    for (const [id, atMs] of sessions) {
      const session = this.#sessions.get(id);
      if (session === undefined) continue;
      session.seenAtMs = Math.max(session.seenAtMs ?? 0, Math.min(atMs, now.monotonicMs));
      if (session.place.kind === "holding") this.#book.renew(session.place.lease, session.seenAtMs);
    }
  }

  /** Their leases are not renewed, they only do not end before then. */
  spare(untilMs: number): void {
    for (const { place } of this.#sessions.values()) {
      if (place.kind === "holding") this.#book.lastUntil(place.lease, untilMs);
    }
  }

  /** A lease ran out. The row remembers the session, so that a restart does not grant it again. */
  expire(lease: Lease, now: Instant): void {
    const session = this.#sessions.get(lease.row.session?.id ?? "");
    if (session?.place.kind === "holding" && session.place.lease === lease) {
      session.place = { kind: "ended", why: "lease.expired" };
    }
    this.#book.cool(lease, lease.row.session, now);
  }

  /** Takes back the grants that could not be written; their sessions wait for the store. */
  giveBack(leases: Iterable<Lease>, why: FailureCode): void {
    const undone: Lease[] = [];
    for (const lease of leases) {
      const session = this.#sessions.get(lease.row.session?.id ?? "");
      if (session !== undefined) this.#changes.sessions.add(session.id);
      if (lease.before === undefined) continue;
      undone.push(lease);
      if (session !== undefined) this.#wait(session, why);
    }
    this.#book.giveBack(undone);
  }

  /** Serves who waits for a pool in which something became free, in the order of arrival. */
  serveFreed(now: Instant): void {
    for (const pool of this.#changes.pools) {
      for (const session of this.#waiting.forPool(pool)) {
        this.#place(session, now);
        if (session.place.kind === "waiting") break;
      }
    }
  }

  /** After a configuration change, or when the store or the recovery lets go: everyone who waits asks anew. */
  serveAll(now: Instant): void {
    for (const session of this.#waiting.all()) this.#place(session, now);
  }

  /** Returns the session when it asks for a lease: new, or at a higher epoch. */
  #take(id: string, spec: SessionSpec, now: Instant): Session | undefined {
    const known = this.#sessions.get(id);
    if (known === undefined) {
      const session: Session = {
        id,
        spec,
        place: { kind: "waiting", why: "pool.unverified" },
        since: this.#input,
        seenAtMs: undefined,
      };
      this.#sessions.set(id, session);
      this.#changes.sessions.add(id);
      return session;
    }
    if (spec.epoch < known.spec.epoch) return undefined;
    const isMoved = spec.device !== known.spec.device || spec.pool !== known.spec.pool;
    const isRaised = spec.epoch > known.spec.epoch;
    if (isMoved) this.#leave(known, now);
    known.spec = spec;
    this.#changes.sessions.add(id);
    if (!isMoved && !isRaised) return undefined;
    known.since = this.#input;
    return known;
  }

  /**
   * After a restart: the lease, or the end of it, that the row remembers for this session. A row of a higher epoch is that
   * of a controller which knew more than the one that was heard last: as without the restart, the lower one is ignored.
   */
  #resume(session: Session): boolean {
    const { id, spec } = session;
    const lease = this.#book.find(spec.device, spec.pool);
    const remembered = lease?.row.session;
    if (lease === undefined || remembered?.id !== id || remembered.epoch < spec.epoch) return false;
    session.spec = { ...spec, epoch: remembered.epoch };
    if (lease.row.state === "leased") this.#settle(session, { kind: "holding", lease });
    else this.#settle(session, { kind: "ended", why: "lease.expired" });
    return true;
  }

  #place(session: Session, now: Instant): void {
    const { device, pool } = session.spec;
    const lease = this.#book.find(device, pool);
    if (lease?.row.state === "leased") {
      if (!this.#displace(session, lease)) {
        this.#settle(session, { kind: "ended", why: "lease.superseded" });
        return;
      }
      if (lease.standing === "verified") {
        this.#settle(session, { kind: "holding", lease: this.#book.extend(lease, claimOf(session), now) });
        return;
      }
      this.#book.cool(lease, undefined, now);
    }
    const granted = this.#grant(session, lease, now);
    if (typeof granted === "string") this.#wait(session, granted);
    else this.#settle(session, { kind: "holding", lease: granted });
  }

  #grant(session: Session, former: Lease | undefined, now: Instant): Lease | FailureCode {
    const { writes } = this.#book;
    if (writes.retryAtMs !== undefined && writes.failing !== undefined) return writes.failing;
    if (!this.#recovery.isOver) {
      const { ipv4, ipv6 } = session.spec.granted ?? {};
      const pair = { ipv4: canonical(ipv4), ipv6: canonical(ipv6) };
      const known = this.#recovery.mayRebuild ? this.#book.rebuild(pair, claimOf(session), now) : undefined;
      return known ?? "store.corrupt";
    }
    return this.#book.grant(claimOf(session), former, now);
  }

  /** Ends the session that has the lease now; of two that came together, the one on disk stays, else the higher one. */
  #displace(session: Session, lease: Lease): boolean {
    const holder = this.#sessions.get(lease.row.session?.id ?? "");
    if (holder === undefined || holder === session || holder.place.kind !== "holding") return true;
    const cameTogether = holder.since === session.since;
    if (cameTogether && (isOnDisk(holder, lease) || holder.spec.epoch >= session.spec.epoch)) return false;
    this.#settle(holder, { kind: "ended", why: "lease.superseded" });
    return true;
  }

  #end(id: string, now: Instant): void {
    const session = this.#sessions.get(id);
    if (session === undefined) return;
    this.#leave(session, now);
    this.#sessions.delete(id);
    this.#changes.sessions.add(id);
  }

  /** What a session has, or had until it expired, rests without it. */
  #leave(session: Session, now: Instant): void {
    this.#waiting.delete(session);
    const { device, pool } = session.spec;
    const lease = session.place.kind === "holding" ? session.place.lease : this.#book.find(device, pool);
    if (lease?.row.session?.id !== session.id) return;
    if (lease.row.state === "leased") this.#book.cool(lease, undefined, now);
    else this.#book.clearSession(lease);
  }

  /** Leases whose session the controller does not name any more, as after a restart. Only its word ends a lease. */
  #coolUnclaimed(now: Instant): void {
    for (const lease of this.#book.table.all()) {
      if (lease.row.state !== "leased") continue;
      const session = this.#sessions.get(lease.row.session?.id ?? "");
      const isHeld = session?.place.kind === "holding" && session.place.lease === lease;
      if (!isHeld) this.#book.cool(lease, undefined, now);
    }
  }

  #wait(session: Session, why: FailureCode): void {
    if (session.place.kind !== "waiting" || session.place.why !== why) this.#changes.sessions.add(session.id);
    session.place = { kind: "waiting", why };
    this.#waiting.add(session, why);
  }

  #settle(session: Session, place: SessionPlace): void {
    session.place = place;
    this.#changes.sessions.add(session.id);
    this.#waiting.delete(session);
  }
}

function claimOf({ id, spec }: Session): Claim {
  return { id, epoch: spec.epoch, device: spec.device, user: spec.user, pool: spec.pool };
}

function canonical(address: string | undefined): string | undefined {
  return address === undefined ? undefined : parseAddress(address)?.text;
}
