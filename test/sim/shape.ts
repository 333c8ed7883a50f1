import type { InstancePools } from "../../controller/core/admin.ts";
import type { DeploymentMode } from "../../protocol/specs.ts";
import { Random } from "./random.ts";

/** What a world is made of, drawn from its seed before anything happens. */
export interface Shape {
  readonly seed: number;
  readonly mode: DeploymentMode;
  readonly instances: number;
  readonly devices: number;
  readonly groups: readonly string[];
  readonly addresses: "ipv4" | "ipv6" | "both";
  /** Addresses of one range of IPv6: few, so that pools are full. */
  readonly ipv6Length: number;
  readonly coolDownMs: number;
  readonly leaseMinutes: number;
  readonly delayMs: { readonly min: number; readonly max: number };
  /** Of packets between devices and instances. */
  readonly loss: number;
}

export function shapeOf(seed: number): Shape {
  const random = new Random(seed).fork("shape");
  const max = random.pick([2, 10, 10, 100]);
  return {
    seed,
    mode: random.pick(["active-active", "active-active", "active-active", "active-standby", "standalone"]),
    instances: random.between(2, 4),
    devices: random.between(3, 8),
    groups: random.chance(0.3) ? ["staff", "guests"] : ["staff"],
    addresses: random.pick(["ipv4", "ipv6", "both"]),
    ipv6Length: random.pick([127, 126]),
    coolDownMs: random.between(5, 20) * 1_000,
    leaseMinutes: random.pick([1, 2, 60]),
    delayMs: { min: 1, max },
    loss: random.pick([0, 0, 0.01, 0.05]),
  };
}

/** The pools of one instance, and the prefixes that AWS must route to it for them. */
export function poolsOf(
  { addresses, ipv6Length, groups }: Shape,
  instance: number,
): { readonly pools: InstancePools; readonly prefixes: readonly string[] } {
  const slash80 = `2600:1f18:2a89:703:${instance}::/80`;
  const prefixes: string[] = [];
  const pools: InstancePools = {};
  for (const [i, group] of groups.entries()) {
    const slash28 = `172.18.${129 + instance}.${16 * i}/28`;
    const ipv4 = addresses === "ipv6" ? [] : [slash28];
    const ipv6 = addresses === "ipv4" ? [] : [`2600:1f18:2a89:703:${instance}::${i + 1}0/${ipv6Length}`];
    pools[`pool of ${group}`] = { ipv4, ipv6 };
    prefixes.push(...ipv4);
  }
  if (addresses !== "ipv4") prefixes.push(slash80);
  return { pools, prefixes };
}

/** How many sessions one pool of one instance holds. */
export function capacityOf({ addresses, ipv6Length }: Shape): number {
  return addresses === "ipv4" ? 16 : 2 ** (128 - ipv6Length);
}
