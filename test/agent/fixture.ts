import type { InterfaceFacts, PrefixReading } from "../../agent/core/ports.ts";
import type { PoolSpec } from "../../protocol/specs.ts";
import type { Instant } from "../../protocol/time.ts";

/** The interface of the lab's first instance. */
export const facts: InterfaceFacts = {
  mac: "0e:49:61:0f:00:01",
  interfaceId: "eni-0a1b2c3d4e5f60001",
  primaryIpv4: "172.18.139.4",
  vpcId: "vpc-0c0ffee0c0ffee001",
  subnetId: "subnet-0c0ffee0c0ffee001",
  subnetIpv4: "172.18.128.0/20",
  subnetIpv6: ["2600:1f18:2a89:703::/64"],
  vpcCidrs: ["172.18.0.0/16", "2600:1f18:2a89:700::/56"],
};

export const ipv4Prefix = "172.18.140.16/28";
export const ipv6Prefix = "2600:1f18:2a89:703:275::/80";

export function known(...prefixes: readonly string[]): PrefixReading {
  return {
    is: "known",
    ipv4: prefixes.filter((prefix) => !prefix.includes(":")),
    ipv6: prefixes.filter((prefix) => prefix.includes(":")),
    interface: facts,
  };
}

export const unknown: PrefixReading = {
  is: "unknown",
  why: "imds.unreachable",
  facts: { error: "no answer" },
};

export function pool(...ranges: readonly string[]): PoolSpec {
  return {
    group: "staff",
    leaseMinutes: 1440,
    ipv4: ranges.filter((range) => !range.includes(":")),
    ipv6: ranges.filter((range) => range.includes(":")),
  };
}

const connector = {
  name: "aws-one",
  mode: "active-active",
  dns: { primary: "172.18.0.2" },
  ipv6PoolMatch: "exact",
} as const;

/** A desired state that makes an instance with both prefixes Active. */
export const configured = { connector, "pool/pool1": pool(ipv4Prefix, ipv6Prefix) };

export function at(monotonicMs: number): Instant {
  return { monotonicMs, wallMs: 1_700_000_000_000 + monotonicMs };
}
