import type { Firewall } from "../../agent/core/firewall.ts";
import { markText } from "../../agent/core/firewall-marks.ts";
import { containsAddress, parsePrefix } from "../../protocol/address.ts";

/** A packet of a connection, as the kernel's hooks see it: the first one unless it says otherwise. */
export interface Packet {
  readonly from: string;
  readonly to: string;
  readonly iif: string;
  readonly oif: string;
  readonly protocol: "tcp" | "udp" | "icmp" | "gre";
  /** That the connection was opened to; an answer carries it as its source. */
  readonly port: number;
  readonly isAnswer?: boolean;
  /** The connection's, from a packet before. */
  readonly mark?: string;
}

export interface Fate {
  readonly verdict: "accept" | "drop";
  /** The counters it moved, in order. */
  readonly counted: readonly string[];
  /** The connection's mark afterwards. */
  readonly mark: string | undefined;
}

/** What is left of a rule once a word was taken, or its end: a verdict, or that it does not match. */
type Step = "next" | "no match" | { readonly end: string };

type Meaning = (next: () => string, word: string) => Step;

/**
 * Walks a packet through the chains by their text, as nft(8) says. It knows the words that the firewall uses and
 * throws on any other, so that a rule nobody simulates cannot pass by unnoticed.
 */
export function fateOf(
  firewall: Firewall,
  packet: Packet,
  sets: ReadonlyMap<string, readonly string[]>,
): Fate {
  const counted: string[] = [];
  let mark = packet.mark;
  const isV6 = packet.to.includes(":");
  const matching = (does: boolean): Step => (does ? "next" : "no match");
  const address: Meaning = (next, word) => {
    const side = next() === "saddr" ? packet.from : packet.to;
    const match = next();
    if (isV6 !== (word === "ip6")) return "no match";
    if (match !== "vmap") return matching(holds(match, side));
    next();
    const chain = firewall.users.get(side);
    return chain === undefined ? "no match" : { end: `goto ${chain}` };
  };
  const transport: Meaning = (next, word) => {
    // The rule about SYN flags changes packets and decides nothing.
    const side = next();
    if (side === "flags") return "no match";
    const isThere = side === (packet.isAnswer === true ? "sport" : "dport");
    return matching(packet.protocol === word && isThere && inPorts(portsIn(next()), packet.port));
  };
  const meanings: Readonly<Record<string, Meaning>> = {
    iifname: (next) => matching(next() === `"${packet.iif}"`),
    oifname: (next) => matching(next() === `"${packet.oif}"`),
    ip: address,
    ip6: address,
    tcp: transport,
    udp: transport,
    meta: (next) => {
      next();
      return matching(next() === (packet.protocol === "icmp" && isV6 ? "icmpv6" : packet.protocol));
    },
    ct: (next) => {
      switch (next()) {
        case "mark": {
          const value = next();
          if (value === "@opened") return matching(mark !== undefined && opened.has(mark));
          mark = next();
          return "next";
        }
        case "direction":
          return matching((next() === "reply") === (packet.isAnswer === true));
        case "state":
          // In none of those that are listed: that of a known connection ends no walk any more.
          return "no match";
      }
      throw new Error("the simulator knows nothing else of connections");
    },
    counter: (next) => {
      next();
      counted.push(next());
      return "next";
    },
    accept: () => ({ end: "accept" }),
    drop: () => ({ end: "drop" }),
    goto: (next) => ({ end: `goto ${next()}` }),
  };
  const opened = new Set([...firewall.marks].map(markText));
  const verdict = walk("forward");
  return { verdict: verdict === "accept" || verdict === undefined ? "accept" : "drop", counted, mark };

  function walk(name: string): string | undefined {
    const chain = firewall.chains.get(name);
    if (chain === undefined) throw new Error(`no chain ${name}`);
    for (const { text } of chain.rules) {
      const end = endOf(text);
      if (end !== undefined) return end.startsWith("goto ") ? walk(end.slice(5)) : end;
    }
    return undefined;
  }

  /** The rule's verdict when it matches and has one. */
  function endOf(text: string): string | undefined {
    const words = [...text.matchAll(/\{[^}]*\}|\([^)]*\)|\S+/g)].map(([word]) => word);
    for (let word = words.shift(); word !== undefined; word = words.shift()) {
      const meaning = meanings[word];
      if (meaning === undefined) throw new Error(`the simulator does not know ${word} in: ${text}`);
      const step = meaning(() => words.shift() ?? "", word);
      if (step === "no match") return undefined;
      if (step !== "next") return step.end;
    }
    return undefined;
  }
  function portsIn(match: string): string {
    const ports = match.startsWith("@") ? firewall.ports.get(match.slice(1)) : match;
    if (ports === undefined) throw new Error(`no set ${match}`);
    return ports;
  }

  function holds(match: string, address: string): boolean {
    if (match.startsWith("@")) {
      const elements = sets.get(match.slice(1));
      if (elements === undefined) throw new Error(`no set ${match}`);
      return elements.includes(address);
    }
    if (match.startsWith("{")) {
      return match
        .replace(/[{}\s]/g, "")
        .split(",")
        .some((one) => holds(one, address));
    }
    if (!match.includes("/")) return match === address;
    const prefix = parsePrefix(match.replace("::ffff:0.0.0.0", "::ffff:0:0"));
    if (!prefix.ok) throw prefix.failure;
    return containsAddress(prefix.value, address);
  }
}

function inPorts(set: string, port: number): boolean {
  return set
    .replace(/[{}\s]/g, "")
    .split(",")
    .some((range) => {
      const [from = 0, to = from] = range.split("-").map(Number);
      return from <= port && port <= to;
    });
}
