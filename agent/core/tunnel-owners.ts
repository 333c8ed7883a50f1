import type { DataPathPlan } from "./ports.ts";

/** Whose a user address is. The group is unknown where only the kernel was asked. */
export interface Owner {
  readonly wireguardKey: string;
  readonly group: string | undefined;
}

/** By user address. */
export type Owners = ReadonlyMap<string, Owner>;

export function ownersIn({ peers }: DataPathPlan): Owners {
  const owners = new Map<string, Owner>();
  for (const { wireguardKey, group, ipv4, ipv6 } of peers) {
    if (ipv4 !== undefined) owners.set(ipv4, { wireguardKey, group });
    if (ipv6 !== undefined) owners.set(ipv6, { wireguardKey, group });
  }
  return owners;
}

/** Addresses that are nobody's by this plan, or another device's than before. */
export function departedFrom(before: Owners, plan: DataPathPlan): string[] {
  const owners = ownersIn(plan);
  return [...before].flatMap(([address, { wireguardKey }]) =>
    owners.get(address)?.wireguardKey === wireguardKey ? [] : [address],
  );
}

/** Addresses whose device is of another group now: what they had opened was allowed to the other one. */
export function regroupedFrom(before: Owners, plan: DataPathPlan): string[] {
  const owners = ownersIn(plan);
  return [...before].flatMap(([address, { group }]) => {
    const now = owners.get(address)?.group;
    return group === undefined || now === undefined || now === group ? [] : [address];
  });
}

/** The plan without those who come: only who stays. */
export function stayingIn(before: Owners, plan: DataPathPlan): DataPathPlan {
  const isTheirs = (address: string | undefined, key: string) =>
    address === undefined || before.get(address)?.wireguardKey === key;
  const peers = plan.peers.filter(
    ({ wireguardKey, ipv4, ipv6 }) => isTheirs(ipv4, wireguardKey) && isTheirs(ipv6, wireguardKey),
  );
  return { ...plan, peers };
}
