// The nftables rules of the two routers, as text. Their sets and maps are filled as hosts and prefixes come and go.
import { metadataIpv4, metadataIpv6, wireguardPort } from "./addresses.ts";

/** What a link may send from, and of which links nothing arrives at the router, or nothing leaves it. */
const sets = `
  set sources4 { type ifname . ipv4_addr; flags interval; }
  set sources6 { type ifname . ipv6_addr; flags interval; }
  set cut_from { type ifname; }
  set cut_to { type ifname; }
  counter refused_sources { }`;

/** Neighbour discovery and what else stays on the link: never forwarded, whatever its source. */
const onTheLink = `
    ip6 saddr { ::, fe80::/10 } accept
    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept`;

/** The source half of the source/destination check; the destination half is that a link gets only what is routed to it. */
const sourceCheck = `
    iifname "lo" accept${onTheLink}
    iifname . ip saddr @sources4 accept
    iifname . ip6 saddr @sources6 accept
    counter name refused_sources drop`;

/**
 * The VPC's router. Its links by name: `i…` instances, `a…` applications, `internet` the internet gateway. Nothing but
 * the metadata service is tracked: packets pass AWS's network each by itself.
 */
export function vpcRules(hopLimit: number): string {
  return `table inet router {${sets}
  set public6 { type ipv6_addr; }
  map private_of { type ipv4_addr : ipv4_addr; }
  map public_of { type ipv4_addr : ipv4_addr; }
  map metadata { type ifname : inet_service; }

  chain arrive {
    type filter hook prerouting priority raw; policy drop;
    iifname @cut_from drop
    ip daddr != ${metadataIpv4} notrack
    ip6 daddr != ${metadataIpv6} notrack
    iifname "internet" goto from_internet${sourceCheck}
  }
  chain from_internet {${onTheLink}
    ip daddr set ip daddr map @private_of goto admit
    ip6 daddr @public6 goto admit
    drop
  }
  chain admit {
    udp dport ${wireguardPort} accept
    tcp flags & (syn | ack) != syn accept
    icmp type { echo-reply, destination-unreachable, time-exceeded } accept
    icmpv6 type { echo-reply, destination-unreachable, packet-too-big, time-exceeded } accept
    drop
  }
  chain to_metadata {
    type nat hook prerouting priority dstnat; policy accept;
    ip daddr ${metadataIpv4} tcp dport 80 redirect to :iifname map @metadata
    ip6 daddr ${metadataIpv6} tcp dport 80 redirect to :iifname map @metadata
  }
  chain to_router {
    type filter hook input priority filter; policy drop;
    iifname "lo" accept
    meta l4proto { icmp, ipv6-icmp } accept
    ct status dnat accept
  }
  chain through {
    type filter hook forward priority filter; policy accept;
    iifname "a*" oifname "internet" drop
    iifname "internet" oifname != "i*" drop
  }
  chain leave {
    type filter hook postrouting priority srcnat + 50; policy accept;
    oifname @cut_to drop
    ct original ip daddr ${metadataIpv4} ip ttl set ${hopLimit}
    ct original ip6 daddr ${metadataIpv6} ip6 hoplimit set ${hopLimit}
    oifname "internet" ip saddr set ip saddr map @public_of accept
    oifname "internet" meta nfproto ipv4 drop
  }
}`;
}

/** The internet. Its links by name: `d…` devices, `s…` servers, `vpc` the way to the VPC. Devices do not meet. */
export const internetRules = `table inet router {${sets}

  chain arrive {
    type filter hook prerouting priority raw; policy drop;
    iifname @cut_from drop
    iifname "vpc" accept${sourceCheck}
  }
  chain to_router {
    type filter hook input priority filter; policy drop;
    iifname "lo" accept
    meta l4proto { icmp, ipv6-icmp } accept
  }
  chain through {
    type filter hook forward priority filter; policy accept;
    iifname "d*" oifname "d*" drop
  }
  chain leave {
    type filter hook postrouting priority filter; policy accept;
    oifname @cut_to drop
  }
}`;
