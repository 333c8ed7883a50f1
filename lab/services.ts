import type { DnsServers, ResourceSpec } from "../protocol/specs.ts";
import { groups } from "./plan.ts";
import { corporateAddresses, corporateZone } from "./vpc/corporate.ts";

/** What the lab's connector lets its users reach, and whom it asks for names. The same wherever the lab runs. Pure. */

const { resolver, "dns-2": second, caller } = corporateAddresses;

export const dns: DnsServers = {
  primary: resolver.ipv4,
  primaryIpv6: resolver.ipv6,
  secondary: second.ipv4,
  secondaryIpv6: second.ipv6,
};

/** Where the proofs go. It also listens on a port that no service allows. */
export const webName = `web.${corporateZone}`;
export const closedPort = 8080;

const all = groups.map(({ group }) => group);
const [{ group: firstGroup }] = groups;
const port = (number: number) => [{ from: number, to: number }];

export const resources: ResourceSpec[] = [
  {
    name: "web",
    destination: { domain: webName },
    protocol: "tcp",
    ports: port(80),
    serverInitiated: false,
    groups: all,
  },
  {
    name: "apps",
    destination: { domain: `*.apps.${corporateZone}` },
    protocol: "tcp",
    ports: port(80),
    serverInitiated: false,
    groups: all,
  },
  ...bothFamilies("echo", applications(), { protocol: "tcp", ports: port(7) }),
  ...bothFamilies("echo-udp", applications(), { protocol: "udp", ports: port(7) }),
  ...bothFamilies("ping", applications(), { protocol: "icmp", ports: [] }),
  // It calls its users back.
  ...bothFamilies(
    "caller",
    { ipv4: `${caller.ipv4}/32`, ipv6: `${caller.ipv6}/128` },
    { protocol: "tcp", ports: [], serverInitiated: true, groups: [firstGroup] },
  ),
];

interface Ranges {
  readonly ipv4: string;
  readonly ipv6: string;
}

/** All of the applications' subnet. What is named by domain needs no range beside it: devices route the VPC for it. */
function applications(): Ranges {
  return { ipv4: "172.18.16.0/24", ipv6: "2600:1f18:2a89:710::/64" };
}

function bothFamilies(
  name: string,
  { ipv4, ipv6 }: Ranges,
  what: Pick<ResourceSpec, "protocol" | "ports"> & Partial<ResourceSpec>,
): ResourceSpec[] {
  const rest = { serverInitiated: false, groups: all, ...what };
  return [
    { name, destination: { cidr: ipv4 }, ...rest },
    { name: `${name}-v6`, destination: { cidr: ipv6 }, ...rest },
  ];
}
