import fc from "fast-check";
import type { TunnelEnd } from "../../agent/core/firewall.ts";
import type { DataPathPeer, DataPathPlan } from "../../agent/core/ports.ts";
import type { ResourceSpec } from "../../protocol/specs.ts";

export const tunnel: TunnelEnd = { interface: "cb0", ipv4: "100.64.0.1", ipv6: "fd01::1", port: 51_820 };

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

/** Any plan of a few users, groups and services, with what nft and dnsmasq take least gladly. */
export const somePlan: fc.Arbitrary<DataPathPlan> = fc
  .record({
    peers: fc.uniqueArray(fc.nat({ max: 20 }), { maxLength: 6 }),
    groups: fc.array(fc.constantFrom("sales", "admins", "Vertrieb é", "a b.c-d@e+f"), {
      minLength: 1,
      maxLength: 3,
    }),
    services: fc.array(
      fc.record({
        name: fc.constantFrom("web", "日本 web", "x".repeat(63), "\u{1f600}".repeat(31)),
        destination: fc.constantFrom(
          ...["0.0.0.0/0", "10.0.0.0/8", "10.0.0.7/32", "::/0", "fd00::/64", "fd00::7/128"],
          ...["app.internal", "*.app.internal", "deep.app.internal", `${"long-label.".repeat(22)}internal`],
        ),
        what: fc.constantFrom("any", "tcp", "icmp", "udp 53", "tcp 1-65535", "tcp 80 443 8000-8010"),
        serverInitiated: fc.boolean(),
      }),
      { maxLength: 6 },
    ),
    routes: fc.subarray(["10.200.0.0/16", "10.200.0.0/28", "10.200.0.16/28", "2001:db8:200::/80"]),
    hasDns: fc.boolean(),
  })
  .map(({ peers, groups, services, routes, hasDns }) => {
    const groupOf = (n: number) => groups[n % groups.length] ?? "";
    const plan = planOf(
      peers.map((n) => peer(n, groupOf(n))),
      services.map(({ name, destination, what, serverInitiated }, i) =>
        service(`${name}${i}`.slice(-63), destination, what, [groupOf(i)], { serverInitiated }),
      ),
    );
    return { ...plan, routes, dns: hasDns ? plan.dns : undefined };
  });
