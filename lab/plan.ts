/** Who and what is in the lab: two Device-User-Groups, the instances' prefixes, the users. Pure. */

export const connectorName = "lab";

export const groups = [
  { group: "Employees", pool: "Pool1", leaseMinutes: 1440 },
  { group: "Contractors", pool: "Pool2", leaseMinutes: 480 },
] as const;

export interface InstancePlan {
  /** From 1: the nth instance of the emulated VPC. */
  readonly ordinal: number;
  /** By pool name: what AWS assigns to the interface, and what the administrator configures. */
  readonly pools: Readonly<Record<string, Ranges>>;
}

export interface Ranges {
  readonly ipv4: readonly string[];
  readonly ipv6: readonly string[];
}

export interface DevicePlan {
  readonly name: string;
  readonly user: string;
  readonly group: string;
}

/**
 * One /28 and one /80 for each pool of each instance. Every instance carries the first group; every third one, from
 * the second on (or the only one), carries the other too.
 */
export function planInstances(count: number): InstancePlan[] {
  let prefixes = 0;
  const ranges = (): Ranges => {
    prefixes += 1;
    return { ipv4: [ipv4Prefix(prefixes)], ipv6: [ipv6Prefix(prefixes)] };
  };
  return Array.from({ length: count }, (_, i) => {
    const ordinal = i + 1;
    const carriesBoth = ordinal % 3 === 2 || count === 1;
    const pools = groups.slice(0, carriesBoth ? 2 : 1).map(({ pool }) => [pool, ranges()] as const);
    return { ordinal, pools: Object.fromEntries(pools) };
  });
}

/** Three of five are employees. */
export function planDevices(count: number): DevicePlan[] {
  return Array.from({ length: count }, (_, i) => {
    const user = `${users[i % users.length]}${i < users.length ? "" : Math.floor(i / users.length) + 1}`;
    const { group } = groups[i % 5 < 3 ? 0 : 1];
    return { name: `${user}-laptop`, user, group };
  });
}

export function prefixesOf(plan: InstancePlan): string[] {
  return Object.values(plan.pools).flatMap(({ ipv4, ipv6 }) => [...ipv4, ...ipv6]);
}

const users = ["ana", "bruno", "chen", "dana", "emeka", "farah", "goran", "hana", "ines", "jun"] as const;

/** In the lab's subnet 172.18.128.0/20, above its first block, which holds the addresses that AWS reserves. */
function ipv4Prefix(number: number): string {
  return `172.18.${128 + Math.floor(number / 16)}.${(number % 16) * 16}/28`;
}

/** In the lab's subnet 2600:1f18:2a89:703::/64. */
function ipv6Prefix(number: number): string {
  return `2600:1f18:2a89:703:${(0x1000 + number).toString(16)}::/80`;
}
