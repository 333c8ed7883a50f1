import { containsAddress, parsePrefix } from "../../protocol/address.ts";
import { type NetworkPlan, type NetworkReading, takenRoutes } from "../../protocol/network.ts";

/** A prefix that is not routed into the tunnel, and why not. */
export interface RefusedRoute {
  readonly to: string;
  /** `holds 10.0.1.20 of ens5` */
  readonly why: string;
}

/**
 * Prefixes that would take the host off its network. AWS assigns none that holds an address in use, so whoever says such
 * a prefix is wrong about it; the instance goes on with the others.
 */
export function refusedRoutes(held: NetworkReading, wanted: NetworkPlan): RefusedRoute[] {
  const taken = new Map(takenRoutes(held, wanted).map((entry) => [entry.what, entry.interface]));
  const inUse = [...held.others.addresses, ...held.others.gateways];
  return wanted.routes.flatMap(({ to }) => {
    const prefix = parsePrefix(to);
    if (!prefix.ok) return [{ to, why: "is no prefix" }];
    const holds = inUse.find(({ what }) => containsAddress(prefix.value, what));
    if (holds !== undefined) return [{ to, why: `holds ${holds.what} of ${holds.interface}` }];
    const by = taken.get(to);
    return by === undefined ? [] : [{ to, why: `is a route of ${by}` }];
  });
}

/** The plan without them. */
export function withoutRefused(plan: NetworkPlan, refused: readonly RefusedRoute[]): NetworkPlan {
  if (refused.length === 0) return plan;
  const prefixes = new Set(refused.map(({ to }) => to));
  return { ...plan, routes: plan.routes.filter(({ to }) => !prefixes.has(to)) };
}
