// The prefixes of one network interface over time. EC2 accepts an assignment at once; the metadata service shows
// it later, and goes on showing an unassigned prefix for a while: both delays are the same setting here.
import {
  awsLengthProblem,
  contains,
  containsAddress,
  type Prefix,
  parsePrefix,
} from "../../protocol/address.ts";
import type { NetworkInterface } from "./instance.ts";

export type Family = "ipv4" | "ipv6";

/** What the metadata service shows of an interface's prefixes in one reading. */
export type Prefixes = Readonly<Record<Family, readonly string[]>>;

interface Assignment {
  cidr: string;
  shownFromMs: number;
  /** Infinity while assigned. */
  shownUntilMs: number;
}

export class PrefixTimeline {
  readonly #iface: NetworkInterface;
  // BOUNDED: what is assigned, plus what was unassigned within the propagation delay.
  #assignments: Assignment[] = [];

  constructor(iface: NetworkInterface) {
    this.#iface = iface;
  }

  /** @throws RangeError where EC2 would refuse: not /28 or /80, host bits, outside the subnet, in use. */
  assign(cidr: string, nowMs: number, propagationMs: number): void {
    const refusal = refusalOf(cidr, this.#iface);
    if (refusal !== undefined) throw new RangeError(`${cidr}: ${refusal}`);
    this.#forget(nowMs);
    if (this.#assigned(cidr) !== undefined) throw new RangeError(`${cidr}: assigned already`);
    this.#assignments.push({
      cidr,
      shownFromMs: nowMs + propagationMs,
      shownUntilMs: Number.POSITIVE_INFINITY,
    });
  }

  /** @throws RangeError when the prefix is not assigned. */
  unassign(cidr: string, nowMs: number, propagationMs: number): void {
    this.#forget(nowMs);
    const assigned = this.#assigned(cidr);
    if (assigned === undefined) throw new RangeError(`${cidr}: not assigned`);
    assigned.shownUntilMs = nowMs + propagationMs;
  }

  /** What EC2 holds now, whatever the metadata service shows. */
  assigned(): Prefixes {
    return byFamily(this.#assignments.filter((a) => a.shownUntilMs === Number.POSITIVE_INFINITY));
  }

  /** What the metadata service shows now. */
  shown(nowMs: number): Prefixes {
    return byFamily(this.#assignments.filter((a) => a.shownFromMs <= nowMs && nowMs < a.shownUntilMs));
  }

  #assigned(cidr: string): Assignment | undefined {
    return this.#assignments.find((a) => a.cidr === cidr && a.shownUntilMs === Number.POSITIVE_INFINITY);
  }

  #forget(nowMs: number): void {
    this.#assignments = this.#assignments.filter((a) => nowMs < a.shownUntilMs);
  }
}

export function familyOf(cidr: string): Family {
  return cidr.includes(":") ? "ipv6" : "ipv4";
}

export function groupByFamily(cidrs: readonly string[]): Prefixes {
  return {
    ipv4: cidrs.filter((cidr) => familyOf(cidr) === "ipv4"),
    ipv6: cidrs.filter((cidr) => familyOf(cidr) === "ipv6"),
  };
}

function byFamily(assignments: readonly Assignment[]): Prefixes {
  return groupByFamily([...new Set(assignments.map((a) => a.cidr))]);
}

function refusalOf(cidr: string, iface: NetworkInterface): string | undefined {
  const parsed = parsePrefix(cidr);
  if (!parsed.ok) return parsed.failure.message;
  const prefix = parsed.value;
  if (prefix.text !== cidr) return `write it ${prefix.text}`;
  if (awsLengthProblem(prefix) !== undefined) return "EC2 assigns /28 and /80 only";
  const subnets = prefix.family === 6 ? iface.subnetIpv6CidrBlocks : [iface.subnetIpv4CidrBlock];
  if (!subnets.some((subnet) => isInside(prefix, subnet))) return `outside the subnet ${subnets.join(" ")}`;
  const taken = [...iface.localIpv4s, ...iface.ipv6s].find((address) => containsAddress(prefix, address));
  return taken === undefined ? undefined : `holds the interface's own address ${taken}`;
}

function isInside(prefix: Prefix, subnet: string): boolean {
  const outer = parsePrefix(subnet);
  return outer.ok && contains(outer.value, prefix);
}
