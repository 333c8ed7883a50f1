import type { DataPathPlan } from "./ports.ts";

/** Whose each user address is, by WireGuard key. */
export type Owners = ReadonlyMap<string, string>;

export function ownersIn({ peers }: DataPathPlan): Owners {
  const owners = new Map<string, string>();
  for (const { wireguardKey, ipv4, ipv6 } of peers) {
    if (ipv4 !== undefined) owners.set(ipv4, wireguardKey);
    if (ipv6 !== undefined) owners.set(ipv6, wireguardKey);
  }
  return owners;
}

/** Addresses that are nobody's by this plan, or another device's than before. */
export function departedFrom(before: Owners, plan: DataPathPlan): string[] {
  const owners = ownersIn(plan);
  return [...before].flatMap(([address, key]) => (owners.get(address) === key ? [] : [address]));
}

/** The plan without those who come: only who stays. */
export function stayingIn(before: Owners, plan: DataPathPlan): DataPathPlan {
  const isTheirs = (address: string | undefined, key: string) =>
    address === undefined || before.get(address) === key;
  const peers = plan.peers.filter(
    ({ wireguardKey, ipv4, ipv6 }) => isTheirs(ipv4, wireguardKey) && isTheirs(ipv6, wireguardKey),
  );
  return { ...plan, peers };
}
