import type { TunnelEnd } from "../../agent/core/firewall.ts";
import type { DataPathPeer, DataPathPlan } from "../../agent/core/ports.ts";
import type { ResourceSpec } from "../../protocol/specs.ts";

export const tunnel: TunnelEnd = { interface: "cb0", ipv4: "100.64.0.1", ipv6: "fd01::1" };

/** `service("web", "10.0.0.0/8", "tcp 80 443 8000-9000", ["staff"])`; a destination without a slash is a domain. */
export function service(
  name: string,
  destination: string,
  what: string,
  groups: string[],
  more: { serverInitiated?: boolean } = {},
): ResourceSpec {
  const [protocol = "any", ...ranges] = what.split(" ");
  return {
    name,
    destination: destination.includes("/") ? { cidr: destination } : { domain: destination },
    protocol: protocol as ResourceSpec["protocol"],
    ports: ranges.map((range) => {
      const [from = 0, to = from] = range.split("-").map(Number);
      return { from, to };
    }),
    serverInitiated: more.serverInitiated ?? false,
    groups,
  };
}

/** The n-th user: 10.200.x.y and 2001:db8:200::n. */
export function peer(n: number, group: string): DataPathPeer {
  return {
    session: `session-${n}`,
    wireguardKey: "A".repeat(43),
    group,
    ipv4: `10.200.${n >> 8}.${n & 255}`,
    ipv6: `2001:db8:200::${n.toString(16)}`,
  };
}

export function planOf(peers: readonly DataPathPeer[], services: readonly ResourceSpec[]): DataPathPlan {
  return {
    routes: ["10.200.0.0/16", "2001:db8:200::/80"],
    peers,
    resources: new Map(services.map((spec) => [spec.name, spec])),
    dns: { primary: "10.0.0.2", secondary: "10.0.0.3", primaryIpv6: "fd00::2", secondaryIpv6: "fd00::3" },
  };
}
