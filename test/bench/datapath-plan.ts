import type { DataPathPeer } from "../../agent/core/ports.ts";
import type { ResourceSpec } from "../../protocol/specs.ts";
import type { PlanText } from "../support/datapath.ts";

/** Plans as a connector of some size has them, in which the session that is measured is the worst off. */

export interface PlanSize {
  readonly sessions: number;
  readonly services: number;
}

export const application = { ipv4: "10.99.0.1", name: "web.corp.internal" } as const;

/** The address that the last session of every plan has, whatever the others are. */
export const measuredAddress = { ipv4: "10.200.255.1", ipv6: "2001:db8:200::ff01" } as const;

const group = "staff";
/** A /28 holds so many users. */
const perPrefix = 16;

/** `wireguardKey` is that of the measured device; everyone else's is made up. */
export function planOf({ sessions, services }: PlanSize, wireguardKey: string): PlanText {
  const others = Array.from({ length: sessions - 1 }, (_, i) => peerNumbered(i));
  const measured = { session: "measured", wireguardKey, group, ...measuredAddress };
  return {
    routes: [...prefixesFor(sessions), "10.200.255.0/28", "2001:db8:200::/80"],
    peers: [...others, measured],
    resources: servicesOf(services).map((spec) => [spec.name, spec]),
    dns: { primary: application.ipv4 },
  };
}

/** The n-th of the others. */
export function peerNumbered(n: number): DataPathPeer {
  const key = Buffer.alloc(32, 7);
  key.writeUInt32BE(n + 1, 0);
  return {
    session: `session-${n}`,
    wireguardKey: key.toString("base64url"),
    group,
    ipv4: `10.200.${n >> 8}.${n & 255}`,
    ipv6: `2001:db8:200::${(n + 1).toString(16)}`,
  };
}

function prefixesFor(sessions: number): string[] {
  return Array.from({ length: Math.ceil(sessions / perPrefix) }, (_, i) => {
    const first = i * perPrefix;
    return `10.200.${first >> 8}.${first & 255}/28`;
  });
}

/**
 * So many services, of which the last one that is asked is the only one that lets the measured connections through: the
 * least specific one decides last.
 */
function servicesOf(count: number): ResourceSpec[] {
  const specific = Array.from(
    { length: count - 1 },
    (_, i): ResourceSpec => ({
      name: `service-${i}`,
      serverInitiated: i % 10 === 0,
      groups: [group],
      ...kindNumbered(i),
    }),
  );
  const everything: ResourceSpec = {
    name: "everything",
    destination: { cidr: "10.99.0.0/16" },
    protocol: "any",
    ports: [],
    serverInitiated: false,
    groups: [group],
  };
  return [...specific, everything];
}

/** By turns: a network with ports, a host with a range, a domain, an IPv6 network. */
function kindNumbered(i: number): Pick<ResourceSpec, "destination" | "protocol" | "ports"> {
  switch (i % 4) {
    case 0:
      return {
        destination: { cidr: `10.100.${i & 255}.0/24` },
        protocol: "tcp",
        ports: [80, 443, 8080].map((port) => ({ from: port, to: port })),
      };
    case 1:
      return {
        destination: { cidr: `10.101.0.${i & 255}/32` },
        protocol: "udp",
        ports: [{ from: 5000, to: 5100 }],
      };
    case 2:
      return {
        destination: { domain: `*.app${i}.corp.internal` },
        protocol: "tcp",
        ports: [{ from: 443, to: 443 }],
      };
    default:
      return { destination: { cidr: `fd00:${i.toString(16)}::/64` }, protocol: "any", ports: [] };
  }
}
