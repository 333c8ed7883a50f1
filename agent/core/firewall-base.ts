import type { Prefix } from "../../protocol/address.ts";
import type { Chain, Rule } from "./firewall.ts";
import type { TunnelEnd } from "./firewall-groups.ts";

/** What is dropped before any group is asked, by reason. */
export const baseCounters: readonly (readonly [name: string, comment: string])[] = [
  ["drop_metadata", "to the metadata service, or link-local otherwise"],
  ["drop_between_users", "from one user towards another"],
  ["drop_astray", "with a user's address, but not through the tunnel"],
  ["drop_unleased", "from or to an address that is not leased"],
  ["drop_instance", "to this instance, neither resolver nor probe"],
];

export interface BaseOffers {
  /** The tunnel's end answers questions for names. */
  readonly resolver: boolean;
  /** The users' addresses, leased or not; none lies in another. */
  readonly pools: readonly Prefix[];
}

/**
 * The chains that every packet from or to the tunnel meets. Other traffic of the host falls through them: the
 * policies are `accept`, and what concerns the tunnel or its users ends in a drop. The tunnel's encrypted packets are no
 * connections worth tracking: each would be looked up once more than the packet inside it.
 */
export function baseChains(tunnel: TunnelEnd, { resolver, pools }: BaseOffers): Chain[] {
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
        ...linkLocal("daddr"),
        { text: `oifname ${name} counter name drop_between_users drop` },
        ...known,
        ...disguised,
        ...ownAddresses(tunnel).map((match) => ({ text: `${match} counter name drop_instance drop` })),
        { text: "goto leased" },
      ],
    },
    {
      name: "to_users",
      comment: "forwarded into the tunnel",
      rules: [
        ...known,
        ...linkLocal("saddr"),
        ...astray("saddr", pools),
        { text: "ip daddr vmap @users4" },
        { text: "ip6 daddr vmap @users6" },
        { text: "counter name drop_unleased drop" },
      ],
    },
    {
      name: "instance",
      comment: "from the tunnel to this instance",
      rules: [
        {
          text: "ct state vmap { established : accept, related : accept, invalid : drop, untracked : drop }",
        },
        ...instanceRules(tunnel, resolver),
        { text: "counter name drop_instance drop" },
      ],
    },
    {
      name: "forward",
      comment: "",
      hook: "forward",
      rules: [
        { text: `iifname ${name} goto from_users` },
        { text: `oifname ${name} goto to_users` },
        ...astray("saddr", pools),
        ...astray("daddr", pools),
      ],
    },
    {
      name: "prerouting",
      comment: "",
      hook: "prerouting",
      rules: [
        {
          text: `iifname != ${name} udp dport ${tunnel.port} fib daddr type local notrack`,
          comment: "WireGuard's own",
        },
      ],
    },
    {
      name: "output",
      comment: "",
      hook: "output",
      rules: [{ text: `udp sport ${tunnel.port} notrack`, comment: "WireGuard's own" }],
    },
    {
      name: "input",
      comment: "",
      hook: "input",
      rules: [
        { text: `iifname ${name} goto instance` },
        // Linux takes packets to any of its addresses from any interface.
        ...ownAddresses(tunnel).map((match) => ({
          text: `iifname != "lo" ${match} counter name drop_instance drop`,
        })),
      ],
    },
  ];
}

/** They are this host's, so that nothing is ever forwarded to them, unless somebody took them off the interface. */
function ownAddresses({ ipv4, ipv6 }: TunnelEnd): string[] {
  return [ipv4 && `ip daddr ${ipv4}`, ipv6 && `ip6 daddr ${ipv6}`].filter((match) => match !== undefined);
}

/**
 * The metadata service, name server, time and credentials that AWS gives to instances, at link-local addresses, which
 * no router may forward (RFC 3927, section 2.7), and in its own fd00:ec2::/32. They would take a user for the instance.
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
 */
function linkLocal(side: "saddr" | "daddr"): Rule[] {
  return [`ip ${side} 169.254.0.0/16`, `ip6 ${side} fd00:ec2::/32`].map((match) => ({
    text: `${match} counter name drop_metadata drop`,
  }));
}

/** IPv6 link-local, IPv4 written as IPv6 (RFC 4291, 2.5.5.2), and IPv4 link-local as a NAT64 of the VPC has it (RFC 6052). */
const disguised: readonly Rule[] = [
  {
    text: "ip6 daddr { ::ffff:0.0.0.0/96, 64:ff9b::a9fe:0/112, fe80::/10 } counter name drop_metadata drop",
  },
];

/**
 * A user's address has no business on any other interface: who sends from it there is not the user, and what is sent to
 * it while the tunnel has no route would go to the VPC's router and come back until its hops are used up.
 */
function astray(side: "saddr" | "daddr", pools: readonly Prefix[]): Rule[] {
  return ([4, 6] as const).flatMap((family) => {
    const ranges = pools.filter((pool) => pool.family === family).map(({ text }) => text);
    const match = `${family === 4 ? "ip" : "ip6"} ${side} { ${ranges.join(", ")} }`;
    return ranges.length === 0 ? [] : [{ text: `${match} counter name drop_astray drop` }];
  });
}

/**
 * SYN and SYN-ACK leave with no more than the smaller MTU of the routes to both ends allows: before the answer of a
 * known connection is accepted. Known is what something lets through still: see `firewall-marks.ts`.
 */
const known: readonly Rule[] = [
  { text: "tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu" },
  { text: "ct mark @opened accept" },
  { text: "ct state vmap { invalid : drop, untracked : drop }" },
];

function instanceRules({ ipv4, ipv6 }: TunnelEnd, offersResolver: boolean): Rule[] {
  const probe = "probe of the tunnel";
  return [
    ...(ipv4 === undefined
      ? []
      : [{ text: `ip daddr ${ipv4} icmp type echo-request goto leased`, comment: probe }]),
    ...(ipv6 === undefined
      ? []
      : [{ text: `ip6 daddr ${ipv6} icmpv6 type echo-request goto leased`, comment: probe }]),
    ...(offersResolver ? [ipv4 && `ip daddr ${ipv4}`, ipv6 && `ip6 daddr ${ipv6}`] : [])
      .filter((match) => match !== undefined)
      .flatMap((match) =>
        ["udp", "tcp"].map((protocol) => ({
          text: `${match} ${protocol} dport 53 goto leased`,
          comment: "resolver",
        })),
      ),
  ];
}
