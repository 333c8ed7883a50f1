import { contains, type Prefix, parsePrefix } from "../../protocol/address.ts";
import type { ResourceSpec } from "../../protocol/specs.ts";
import { baseChains, baseCounters } from "./firewall-base.ts";
import { domainKey, isPlainDomain, portSetsOf } from "./firewall-entries.ts";
import {
  groupChain,
  groupCounters,
  rulesOfGroup,
  serviceCounter,
  type TunnelEnd,
} from "./firewall-groups.ts";
import type { DataPathPlan } from "./ports.ts";

export type { TunnelEnd } from "./firewall-groups.ts";

/** Table `inet connector` as it should be: everything in it, and nothing outside it is ours. */
export interface Firewall {
  /** Which group's chain decides about a user address. Both families; canonical text. */
  readonly users: ReadonlyMap<string, string>;
  /** Name and comment. */
  readonly counters: ReadonlyMap<string, string>;
  /** Domains whose addresses are learned, without `*.`. */
  readonly domains: ReadonlySet<string>;
  /** Sets of ports, and what is in each. */
  readonly ports: ReadonlyMap<string, string>;
  /** Set `opened`: of connections that something still lets through. */
  readonly marks: ReadonlySet<number>;
  readonly chains: ReadonlyMap<string, Chain>;
}

export interface Chain {
  readonly name: string;
  readonly comment: string;
  /** Where it hangs in the kernel; the others are sent to. */
  readonly hook?: Hook;
  readonly rules: readonly Rule[];
}

export type Hook = "forward" | "input" | "prerouting" | "output";

/** Before connection tracking where it is to be told something, else where others filter too (nft(8)). */
export const priorityOf = {
  forward: { name: "filter", number: 0 },
  input: { name: "filter", number: 0 },
  prerouting: { name: "raw", number: -300 },
  output: { name: "raw", number: -300 },
} as const satisfies Record<Hook, { name: string; number: number }>;

export interface Rule {
  readonly text: string;
  readonly comment?: string;
}

/** The firewall that lets through what the plan's services allow the plan's users, and nothing else. */
export function firewallOf(plan: DataPathPlan, tunnel: TunnelEnd): Firewall {
  const resources = [...plan.resources.values()];
  const groups = new Set(plan.peers.map(({ group }) => group));
  const ofGroups = [...groups].sort().map((group) => rulesOfGroup(group, resources, tunnel));
  const chains = [
    ...ofGroups.flatMap(({ chains }) => chains),
    ...baseChains(tunnel, { resolver: plan.dns !== undefined, pools: poolsOf(plan.routes) }),
  ];
  return {
    users: usersOf(plan),
    counters: countersOf(groups, resources),
    domains: domainsOf(resources),
    ports: portSetsOf(resources),
    marks: new Set(ofGroups.flatMap(({ marks }) => marks)),
    chains: new Map(chains.map((chain) => [chain.name, chain])),
  };
}

/** Every domain of a service, whoever may use it: a set that waits empty costs nothing. */
export function domainsOf(resources: Iterable<ResourceSpec>): ReadonlySet<string> {
  const domains = [...resources].flatMap(({ destination }) =>
    "domain" in destination ? [domainKey(destination.domain)] : [],
  );
  return new Set(domains.filter(isPlainDomain).sort());
}

/** Without those that lie in others: nft takes no overlaps. In one order, whatever the plan's is. */
function poolsOf(routes: readonly string[]): Prefix[] {
  const prefixes = [...new Set(routes)].sort().flatMap((route) => {
    const prefix = parsePrefix(route);
    return prefix.ok ? [prefix.value] : [];
  });
  return prefixes.filter((prefix) => !prefixes.some((other) => other !== prefix && contains(other, prefix)));
}

function usersOf({ peers }: DataPathPlan): Map<string, string> {
  const chainOf = new Map<string, string>();
  const users = new Map<string, string>();
  for (const { group, ipv4, ipv6 } of peers) {
    const chain = chainOf.get(group) ?? groupChain(group);
    chainOf.set(group, chain);
    if (ipv4 !== undefined) users.set(ipv4, chain);
    if (ipv6 !== undefined) users.set(ipv6, chain);
  }
  return users;
}

function countersOf(groups: Iterable<string>, resources: readonly ResourceSpec[]): Map<string, string> {
  const counters = new Map<string, string>(baseCounters);
  for (const group of groups) {
    const { opened, refused } = groupCounters(group);
    counters.set(opened, `connections opened, group ${group}`);
    counters.set(refused, `connections refused, group ${group}`);
  }
  for (const { name } of resources) {
    counters.set(serviceCounter(name), `connections opened, service ${name}`);
  }
  return counters;
}
