import type { Chain, Rule } from "./firewall.ts";
import type { TunnelEnd } from "./firewall-groups.ts";

/** What is dropped before any group is asked, by reason. */
export const baseCounters: readonly (readonly [name: string, comment: string])[] = [
  ["drop_metadata", "to the instance metadata service"],
  ["drop_between_users", "from one user towards another"],
  ["drop_unleased", "from or to an address that is not leased"],
  ["drop_instance", "to this instance, neither resolver nor probe"],
];

/** https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html */
const metadata = { ipv4: "169.254.169.254", ipv6: "fd00:ec2::254" } as const;

/**
 * The chains that every packet from or to the tunnel meets. Other traffic of the host falls through them: the
 * policies are `accept`, and what concerns the tunnel ends in a chain that drops.
 */
export function baseChains(tunnel: TunnelEnd, offers: { readonly resolver: boolean }): Chain[] {
  const name = `"${tunnel.interface}"`;
  return [
    {
      name: "leased",
      comment: "a user's address decides which group is asked",
      rules: [
        { text: "ip saddr vmap @users4" },
        { text: "ip6 saddr vmap @users6" },
        { text: "counter name drop_unleased drop" },
      ],
    },
    {
      name: "from_users",
      comment: "forwarded out of the tunnel",
      rules: [
        ...metadataRules,
        { text: `oifname ${name} counter name drop_between_users drop` },
        ...known,
        ...ownAddresses(tunnel),
        { text: "goto leased" },
      ],
    },
    {
      name: "to_users",
      comment: "forwarded into the tunnel",
      rules: [
        ...known,
        { text: "ip daddr vmap @users4" },
        { text: "ip6 daddr vmap @users6" },
        { text: "counter name drop_unleased drop" },
      ],
    },
    {
      name: "instance",
      comment: "from the tunnel to this instance",
      rules: [
        { text: connectionStates },
        ...instanceRules(tunnel, offers),
        { text: "counter name drop_instance drop" },
      ],
    },
    {
      name: "forward",
      comment: "",
      hook: "forward",
      rules: [{ text: `iifname ${name} goto from_users` }, { text: `oifname ${name} goto to_users` }],
    },
    { name: "input", comment: "", hook: "input", rules: [{ text: `iifname ${name} goto instance` }] },
  ];
}

/** They are this host's, so that nothing is ever forwarded to them, unless somebody took them off the interface. */
function ownAddresses({ ipv4, ipv6 }: TunnelEnd): Rule[] {
  return [ipv4 && `ip daddr ${ipv4}`, ipv6 && `ip6 daddr ${ipv6}`]
    .filter((match) => match !== undefined)
    .map((match) => ({ text: `${match} counter name drop_instance drop` }));
}

const metadataRules: readonly Rule[] = [
  { text: `ip daddr ${metadata.ipv4} counter name drop_metadata drop` },
  { text: `ip6 daddr ${metadata.ipv6} counter name drop_metadata drop` },
];

const connectionStates = "ct state vmap { established : accept, related : accept, invalid : drop }";

/**
 * SYN and SYN-ACK leave with no more than the smaller MTU of the routes to both ends allows: before the answer of a
 * known connection is accepted.
 */
const known: readonly Rule[] = [
  { text: "tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu" },
  { text: connectionStates },
];

function instanceRules({ ipv4, ipv6 }: TunnelEnd, offers: { readonly resolver: boolean }): Rule[] {
  const probe = "probe of the tunnel";
  const resolver = "resolver";
  return [
    ...(ipv4 === undefined
      ? []
      : [{ text: `ip daddr ${ipv4} icmp type echo-request goto leased`, comment: probe }]),
    ...(ipv6 === undefined
      ? []
      : [{ text: `ip6 daddr ${ipv6} icmpv6 type echo-request goto leased`, comment: probe }]),
    ...(offers.resolver ? [ipv4 && `ip daddr ${ipv4}`, ipv6 && `ip6 daddr ${ipv6}`] : [])
      .filter((match) => match !== undefined)
      .flatMap((match) =>
        ["udp", "tcp"].map((protocol) => ({
          text: `${match} ${protocol} dport 53 goto leased`,
          comment: resolver,
        })),
      ),
  ];
}
