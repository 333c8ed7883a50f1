import type { FailureCode } from "../../protocol/failures.ts";
import type { SessionOutcome } from "../../protocol/state.ts";
import type { Instant } from "../../protocol/time.ts";
import type { LeaseView, SessionView } from "../../protocol/view.ts";
import type { DetachedLease } from "./lease-inputs.ts";
import type { Session } from "./lease-sessions.ts";
import type { Lease } from "./lease-table.ts";
import type { Pair } from "./pool-slots.ts";
import type { DataPathPeer } from "./ports.ts";

/** What a session is told: a grant only when this very grant is on disk. Undefined while it is being written. */
export function outcomeOf(
  session: Session,
  storeFailure: FailureCode | undefined,
): SessionOutcome | undefined {
  const { place } = session;
  const { epoch } = session.spec;
  switch (place.kind) {
    case "waiting":
      return { outcome: "refused", epoch, code: place.why };
    case "ended":
      return { outcome: "ended", epoch, code: place.why };
    case "holding": {
      if (!isOnDisk(session, place.lease)) {
        return storeFailure === undefined ? undefined : { outcome: "refused", epoch, code: storeFailure };
      }
      if (place.lease.standing !== "verified") return { outcome: "ended", epoch, code: "lease.quarantined" };
      return { outcome: "granted", epoch, ...addressesOf(place.lease) };
    }
  }
}

/**
 * Traffic is forwarded for a session as soon as its address is its device's on disk, so that a session which only rises
 * to a new epoch is not interrupted while that is written.
 */
export function peerOf({ id, spec, place }: Session, group: string): DataPathPeer | undefined {
  if (place.kind !== "holding" || place.lease.standing !== "verified") return undefined;
  const { disk, ipv4, ipv6 } = place.lease;
  if (disk?.state !== "leased" || disk.device !== spec.device) return undefined;
  return { session: id, wireguardKey: spec.wireguardKey, group, ipv4, ipv6 };
}

export function detachedLease(lease: Lease): DetachedLease | undefined {
  if (lease.row.state !== "cooling") return undefined;
  const state = lease.standing === "verified" ? "cooling" : "quarantined";
  return { state, ...addressesOf(lease), untilMs: lease.row.untilWallMs };
}

export function leaseView(lease: Lease, now: Instant): LeaseView | undefined {
  const { row } = lease;
  if (row.state === "free") return undefined;
  return {
    pool: row.pool,
    device: row.device,
    user: row.user,
    ...addressesOf(lease),
    state: lease.standing === "verified" ? row.state : "quarantined",
    ...(row.state === "leased" && row.session !== undefined ? { session: row.session.id } : {}),
    untilMs: wallTime(row.untilMonotonicMs, now),
  };
}

export function sessionView(
  session: Session,
  storeFailure: FailureCode | undefined,
  now: Instant,
): SessionView {
  const { id, spec, seenAtMs } = session;
  const outcome = outcomeOf(session, storeFailure);
  return {
    session: id,
    epoch: spec.epoch,
    device: spec.device,
    user: spec.user,
    pool: spec.pool,
    state: outcome?.outcome ?? "granting",
    ...(outcome?.outcome === "granted" ? { ...addressesOf(outcome) } : {}),
    ...(outcome?.outcome === "refused" || outcome?.outcome === "ended" ? { code: outcome.code } : {}),
    ...(seenAtMs === undefined ? {} : { lastSeenMs: wallTime(seenAtMs, now) }),
  };
}

/** Whether the disk says that this session, at this epoch, has this lease. */
export function isOnDisk({ id, spec }: Session, { disk }: Lease): boolean {
  return disk?.state === "leased" && disk.session?.id === id && disk.session.epoch === spec.epoch;
}

function addressesOf({ ipv4, ipv6 }: Partial<Pair>): { ipv4?: string; ipv6?: string } {
  return { ...(ipv4 === undefined ? {} : { ipv4 }), ...(ipv6 === undefined ? {} : { ipv6 }) };
}

function wallTime(monotonicMs: number, now: Instant): number {
  return Math.round(now.wallMs + monotonicMs - now.monotonicMs);
}
