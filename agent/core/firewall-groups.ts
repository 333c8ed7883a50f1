import type { ResourceSpec } from "../../protocol/specs.ts";
import type { Chain, Rule } from "./firewall.ts";
import { type Entry, entriesOf, type Ports, type Where } from "./firewall-entries.ts";
import { learnedSets } from "./firewall-learned.ts";
import { safeName } from "./firewall-names.ts";

/** The tunnel as the instance has it: the interface, and the addresses on it where the resolver and the probe answer. */
export interface TunnelEnd {
  readonly interface: string;
  readonly ipv4: string | undefined;
  readonly ipv6: string | undefined;
}

/** A group's counters count connections: packets of an established one never come so far. */
export interface GroupCounters {
  readonly opened: string;
  readonly refused: string;
}

export function groupChain(group: string): string {
  return safeName("grp", group);
}

export function groupCounters(group: string): GroupCounters {
  return { opened: `${groupChain(group)}_opened`, refused: `${groupChain(group)}_refused` };
}

export function serviceCounter(service: string): string {
  return safeName("svc", service);
}

/** The chain that the users of a group are sent to, and one for each way a connection may be opened. */
export function chainsOfGroup(group: string, resources: Iterable<ResourceSpec>, tunnel: TunnelEnd): Chain[] {
  const name = groupChain(group);
  const counters = groupCounters(group);
  const entries = entriesOf(group, resources);
  const refuse: Rule = { text: `counter name ${counters.refused} drop`, comment: "no service allows it" };
  const out = (entry: Entry) => entry.admits;
  const into = (entry: Entry) => entry.admits && entry.serverInitiated;
  return [
    {
      name: `${name}_out`,
      comment: `connections of group ${group}`,
      rules: [...toInstance(tunnel), ...decisions(entries, out, "daddr", counters), refuse],
    },
    {
      name: `${name}_in`,
      comment: `connections to group ${group}`,
      rules: [...decisions(entries, into, "saddr", counters), refuse],
    },
    {
      name,
      comment: `group ${group}`,
      rules: [{ text: `iifname "${tunnel.interface}" goto ${name}_out` }, { text: `goto ${name}_in` }],
    },
  ];
}

/** Chain `instance` has seen what it is: here it was only asked whether the sender's address is leased. */
function toInstance({ ipv4, ipv6 }: TunnelEnd): Rule[] {
  const comment = "this instance: resolver and probe";
  return [
    ...(ipv4 === undefined ? [] : [{ text: `ip daddr ${ipv4} accept`, comment }]),
    ...(ipv6 === undefined ? [] : [{ text: `ip6 daddr ${ipv6} accept`, comment }]),
  ];
}

/** After the last entry that lets something through, the end of the chain refuses as well as the rest would. */
function decisions(
  entries: readonly Entry[],
  lets: (entry: Entry) => boolean,
  side: "saddr" | "daddr",
  { opened, refused }: GroupCounters,
): Rule[] {
  return entries.slice(0, entries.findLastIndex(lets) + 1).flatMap((entry) => {
    const end = lets(entry)
      ? `counter name ${serviceCounter(entry.service)} counter name ${opened} accept`
      : `counter name ${refused} drop`;
    return rulesOf(entry, side, end);
  });
}

function rulesOf(entry: Entry, side: "saddr" | "daddr", end: string): Rule[] {
  return ends(entry.where, side).map(({ family, match }) => ({
    text: [match, protocolMatch(entry, family), end].filter((part) => part !== "").join(" "),
    comment: entry.service,
  }));
}

function ends(where: Where, side: "saddr" | "daddr"): { family: 4 | 6; match: string }[] {
  switch (where.kind) {
    case "cidr": {
      const { family, text } = where.prefix;
      return [{ family, match: `${family === 4 ? "ip" : "ip6"} ${side} ${text}` }];
    }
    case "domain":
      return learnedSets(where.domain).flatMap(({ family, now, before }) =>
        [now, before].map((set) => ({ family, match: `${family === 4 ? "ip" : "ip6"} ${side} @${set}` })),
      );
  }
}

function protocolMatch({ protocol, ports }: Entry, family: 4 | 6): string {
  switch (protocol) {
    case "any":
      return "";
    case "icmp":
      return `meta l4proto ${family === 4 ? "icmp" : "ipv6-icmp"}`;
    case "tcp":
    case "udp":
      return ports.length === 0 ? `meta l4proto ${protocol}` : `${protocol} dport ${portSet(ports)}`;
  }
}

function portSet(ports: readonly Ports[]): string {
  return `{ ${ports.map(({ from, to }) => (from === to ? `${from}` : `${from}-${to}`)).join(", ")} }`;
}
