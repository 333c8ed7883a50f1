// The prefixes of all interfaces in the lab's subnet, as EC2 sees them: what is free, what is refused.
import {
  awsLengthProblem,
  awsPrefixLength,
  contains,
  type Family,
  overlaps,
  type Prefix,
  parseAddress,
  parsePrefix,
  prefixAround,
} from "../../protocol/address.ts";
import type { NetworkInterface } from "../imds/instance.ts";
import type { InstanceWorld } from "../imds/world.ts";
import { Ec2Error } from "./errors.ts";

/** What an assignment asks for: so many more, or exactly these. */
export type Wish = { readonly count: number } | { readonly prefixes: readonly string[] };

export interface OwnedInterface {
  readonly world: InstanceWorld;
  readonly iface: NetworkInterface;
}

export class Subnets {
  readonly #worlds: readonly InstanceWorld[];

  constructor(worlds: readonly InstanceWorld[]) {
    this.#worlds = worlds;
  }

  /** @throws Ec2Error `InvalidNetworkInterfaceID.NotFound` */
  interface(id: string): OwnedInterface {
    for (const owned of this.#all()) if (owned.iface.interfaceId === id) return owned;
    throw new Ec2Error(
      "InvalidNetworkInterfaceID.NotFound",
      `The networkInterface ID '${id}' does not exist`,
    );
  }

  /** All or nothing. @throws Ec2Error */
  assign({ world, iface }: OwnedInterface, family: Family, wish: Wish, nowMs: number): readonly string[] {
    const wanted =
      "count" in wish ? this.#choose(iface, family, wish.count) : this.#checked(iface, family, wish);
    const free = slotsOf(world.instance.instanceType, family) - slotsUsed({ world, iface }, family);
    if (wanted.length > free) {
      throw new Ec2Error(
        "PrivateIpAddressLimitExceeded",
        `Number of private addresses will exceed limit. Interface ${iface.interfaceId} has room for ${free}.`,
      );
    }
    for (const { text } of wanted) world.assignPrefix(text, iface.mac, nowMs);
    return wanted.map(({ text }) => text);
  }

  /** All or nothing. @throws Ec2Error */
  unassign({ world, iface }: OwnedInterface, prefixes: readonly string[], nowMs: number): void {
    const held = world.assignedPrefixes(iface.mac);
    const missing = prefixes.find((text) => ![...held.ipv4, ...held.ipv6].includes(text));
    if (missing !== undefined) {
      throw new Ec2Error(
        "InvalidParameterValue",
        `Some of the specified prefixes are not assigned: ${missing}`,
      );
    }
    for (const text of prefixes) world.unassignPrefix(text, iface.mac, nowMs);
  }

  /** EC2 takes them from anywhere in the subnet; here the lowest that are free, so that a run can be repeated. */
  #choose(iface: NetworkInterface, family: Family, count: number): readonly Prefix[] {
    const chosen: Prefix[] = [];
    const taken = this.#taken(family);
    for (const subnet of subnetsOf(iface, family)) {
      for (const candidate of candidatesIn(subnet)) {
        if (chosen.length === count) return chosen;
        if (!taken.some((other) => overlaps(candidate, other))) chosen.push(candidate);
      }
    }
    if (chosen.length === count) return chosen;
    throw new Ec2Error(
      "InsufficientCidrBlocks",
      "The specified subnet does not have enough free cidr blocks to satisfy the request.",
    );
  }

  #checked(iface: NetworkInterface, family: Family, { prefixes }: { prefixes: readonly string[] }): Prefix[] {
    const taken = this.#taken(family);
    return prefixes.map((text) => {
      const prefix = parsePrefix(text);
      const isAssignable =
        prefix.ok && prefix.value.family === family && awsLengthProblem(prefix.value) === undefined;
      if (!isAssignable) {
        throw new Ec2Error(
          "InvalidParameterValue",
          `Value (${text}) for parameter ipv${family}Prefix is invalid.`,
        );
      }
      if (!subnetsOf(iface, family).some((subnet) => contains(subnet, prefix.value))) {
        throw new Ec2Error(
          "InvalidParameterValue",
          `Prefix ${text} does not fall within the subnet's range.`,
        );
      }
      if (taken.some((other) => overlaps(prefix.value, other))) {
        throw new Ec2Error("InvalidIPAddress.InUse", `Prefix ${text} or a part of it is in use.`);
      }
      return prefix.value;
    });
  }

  /** Prefixes and single addresses, of every interface there is. */
  #taken(family: Family): readonly Prefix[] {
    return [...this.#all()].flatMap(({ world, iface }) => {
      const { ipv4, ipv6 } = world.assignedPrefixes(iface.mac);
      const prefixes = (family === 4 ? ipv4 : ipv6).flatMap((text) => {
        const prefix = parsePrefix(text);
        return prefix.ok ? [prefix.value] : [];
      });
      const addresses = (family === 4 ? iface.localIpv4s : iface.ipv6s).flatMap((text) => {
        const address = parseAddress(text);
        return address === undefined ? [] : [prefixAround(family, address.value, family === 4 ? 32 : 128)];
      });
      return [...prefixes, ...addresses];
    });
  }

  *#all(): Generator<OwnedInterface> {
    for (const world of this.#worlds) for (const iface of world.instance.interfaces) yield { world, iface };
  }
}

/** Addresses and prefixes an interface may have of a family: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/AvailableIpPerENI.html */
export function slotsOf(instanceType: string, family: Family): number {
  const slots = slotsByType[instanceType];
  if (slots === undefined)
    throw new Error(`the lab does not know how many addresses a ${instanceType} takes`);
  return slots[family];
}

export function slotsUsed({ world, iface }: OwnedInterface, family: Family): number {
  const { ipv4, ipv6 } = world.assignedPrefixes(iface.mac);
  return family === 4 ? iface.localIpv4s.length + ipv4.length : iface.ipv6s.length + ipv6.length;
}

const slotsByType: Readonly<Record<string, Readonly<Record<Family, number>>>> = {
  "c5.large": { 4: 10, 6: 10 },
  "c5.xlarge": { 4: 15, 6: 15 },
};

/** The first four addresses of an IPv4 subnet and its last are AWS's: https://docs.aws.amazon.com/vpc/latest/userguide/subnet-sizing.html */
function* candidatesIn(subnet: Prefix): Generator<Prefix> {
  const length = awsPrefixLength[subnet.family];
  const size = 1n << BigInt((subnet.family === 4 ? 32 : 128) - length);
  const count = 1n << BigInt(length - subnet.length);
  const last = subnet.family === 4 ? count - 1n : count;
  for (let i = 1n; i < last; i++) yield prefixAround(subnet.family, subnet.first + i * size, length);
}

function subnetsOf(iface: NetworkInterface, family: Family): readonly Prefix[] {
  const texts = family === 4 ? [iface.subnetIpv4CidrBlock] : iface.subnetIpv6CidrBlocks;
  return texts.flatMap((text) => {
    const prefix = parsePrefix(text);
    return prefix.ok ? [prefix.value] : [];
  });
}
