import type { ResourceSpec } from "../../protocol/specs.ts";
import type { Chain, Rule } from "./firewall.ts";
import { type Entry, entriesOf, type Ports, portSet, portText, type Where } from "./firewall-entries.ts";
import { learnedSets } from "./firewall-learned.ts";
import { decisionMark, markText } from "./firewall-marks.ts";
import { safeName } from "./firewall-names.ts";

/** The tunnel as the instance has it: the interface, and the addresses on it where the resolver and the probe answer. */
export interface TunnelEnd {
  readonly interface: string;
  readonly ipv4: string | undefined;
  readonly ipv6: string | undefined;
  /** Where WireGuard listens. */
  readonly port: number;
}

/** A group's counters count connections, and one that is judged anew once more: packets of a known one never come so far. */
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

/** What a group adds to the table. */
export interface GroupRules {
  readonly chains: readonly Chain[];
  /** The marks of connections that pass by these chains. */
  readonly marks: readonly number[];
}

/**
 * The chain that the users of a group are sent to, and two for each way a connection may be opened: one for packets of
 * who opened it, one for the answers. Answers come here when what let their connection through is no more.
 */
export function rulesOfGroup(
  group: string,
  resources: Iterable<ResourceSpec>,
  tunnel: TunnelEnd,
): GroupRules {
  const name = groupChain(group);
  const counters = groupCounters(group);
  const entries = entriesOf(group, resources);
  const refuse: Rule = { text: `counter name ${counters.refused} drop`, comment: "no service allows it" };
  const out = decisionsOf(entries, `${name}_out`, ({ admits }) => admits);
  const into = decisionsOf(entries, `${name}_in`, ({ admits, serverInitiated }) => admits && serverInitiated);
  const rules = (decisions: readonly Decision[], ends: Ends) =>
    decisions.flatMap((decision) => rulesOf(decision, ends, counters));
  const fromUser = `iifname "${tunnel.interface}"`;
  return {
    marks: [...out, ...into].flatMap(({ mark }) => (mark === undefined ? [] : [mark])),
    chains: [
      {
        name: `${name}_out`,
        comment: `connections of group ${group}`,
        rules: [...toInstance(tunnel), ...rules(out, { address: "daddr", port: "dport" }), refuse],
      },
      {
        name: `${name}_out_back`,
        comment: `answers to group ${group}`,
        rules: [...rules(out, { address: "saddr", port: "sport" }), refuse],
      },
      {
        name: `${name}_in`,
        comment: `connections to group ${group}`,
        rules: [...rules(into, { address: "saddr", port: "dport" }), refuse],
      },
      {
        name: `${name}_in_back`,
        comment: `answers of group ${group}`,
        rules: [...rules(into, { address: "daddr", port: "sport" }), refuse],
      },
      {
        name,
        comment: `group ${group}`,
        rules: [
          { text: `${fromUser} ct direction original goto ${name}_out` },
          { text: `${fromUser} goto ${name}_in_back` },
          { text: `ct direction original goto ${name}_in` },
          { text: `goto ${name}_out_back` },
        ],
      },
    ],
  };
}

/** Chain `instance` has seen what it is: here it was only asked whether the sender's address is leased. */
function toInstance({ ipv4, ipv6 }: TunnelEnd): Rule[] {
  const comment = "this instance: resolver and probe";
  return [
    ...(ipv4 === undefined ? [] : [{ text: `ip daddr ${ipv4} accept`, comment }]),
    ...(ipv6 === undefined ? [] : [{ text: `ip6 daddr ${ipv6} accept`, comment }]),
  ];
}

interface Decision {
  readonly entry: Entry;
  /** Of the connections it lets through; undefined when it refuses. */
  readonly mark: number | undefined;
}

/** Where a packet carries the private end's address and the port that the connection was opened to. */
interface Ends {
  readonly address: "saddr" | "daddr";
  readonly port: "sport" | "dport";
}

/** After the last entry that lets something through, the end of the chain refuses as well as the rest would. */
function decisionsOf(entries: readonly Entry[], chain: string, lets: (entry: Entry) => boolean): Decision[] {
  const refusing: Entry[] = [];
  return entries.slice(0, entries.findLastIndex(lets) + 1).map((entry) => {
    if (lets(entry)) return { entry, mark: decisionMark(chain, entry, refusing) };
    refusing.push(entry);
    return { entry, mark: undefined };
  });
}

function rulesOf({ entry, mark }: Decision, { address, port }: Ends, counters: GroupCounters): Rule[] {
  const { opened, refused } = counters;
  const counted =
    port === "dport" ? `counter name ${serviceCounter(entry.service)} counter name ${opened} ` : "";
  const end =
    mark === undefined ? `counter name ${refused} drop` : `${counted}ct mark set ${markText(mark)} accept`;
  return ends(entry.where, address).map(({ family, match }) => ({
    text: [match, protocolMatch(entry, family, port), end].filter((part) => part !== "").join(" "),
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

function protocolMatch({ protocol, ports }: Entry, family: 4 | 6, port: Ends["port"]): string {
  switch (protocol) {
    case "any":
      return "";
    case "icmp":
      // nft knows these names itself; `ipv6-icmp` is in /etc/protocols, which a small image does not have.
      return `meta l4proto ${family === 4 ? "icmp" : "icmpv6"}`;
    case "tcp":
    case "udp":
      return ports.length === 0 ? `meta l4proto ${protocol}` : `${protocol} ${port} ${portMatch(ports)}`;
  }
}

/** A list by the name of its set: nft takes minutes for some thousand rules that each bring a set of their own. */
function portMatch(ports: readonly Ports[]): string {
  return ports.length === 1 ? portText(ports) : `@${portSet(ports)}`;
}
