import type { SessionSpec } from "../../protocol/specs.ts";
import type { Until } from "./lease-time.ts";
import type { Pair } from "./pool-slots.ts";
import type { LeaseRow } from "./ports.ts";

/** A session that asks for a lease. */
export type Claim = Pick<SessionSpec, "device" | "user" | "pool" | "epoch"> & { readonly id: string };

export function leasedRow(
  { ipv4, ipv6 }: Pair,
  claim: Claim,
  terms: { readonly leaseMinutes: number; readonly order: number; readonly until: Until },
): LeaseRow {
  return {
    pool: claim.pool,
    ipv4,
    ipv6,
    device: claim.device,
    user: claim.user,
    state: "leased",
    session: { id: claim.id, epoch: claim.epoch },
    leaseMinutes: terms.leaseMinutes,
    order: terms.order,
    ...terms.until,
  };
}

/** By `order`, and leased rows last: a device's current lease is the one it is found by. */
export function inLoadingOrder(rows: readonly LeaseRow[]): LeaseRow[] {
  return [...rows].sort((a, b) => {
    const leased = Number(a.state === "leased") - Number(b.state === "leased");
    return leased === 0 ? a.order - b.order : leased;
  });
}
