import { doMeet, type Entry, type Where } from "./firewall-entries.ts";
import { hash32 } from "./firewall-names.ts";

/*
 * Connections whose service is taken away
 *
 * The rule that lets a connection through gives it a mark (`ct mark`) that stands for the decision: the entry, the way it
 * was opened, and the entries before it that could have refused. Packets of a connection pass without being asked as long as its
 * mark is in set `opened`, which holds the decisions of the plan. When a service, a group or one of those entries
 * changes, so does the mark, and the connection's next packet, in whichever direction, is judged anew, as
 * if it were opened now: it gets its new mark, or goes no further. No packet of what stays allowed is lost, nothing is
 * looked up in conntrack's table, and what did not change is not even judged anew.
 *
 * A connection to an address that was learned for a domain keeps passing after the address was forgotten; when that
 * service itself changes, only addresses that are known at that time pass. The mark of forwarded connections is ours:
 * whoever else sets it has them judged with every packet.
 */

/** Never 0, which is what a connection without a mark has. */
export function decisionMark(chain: string, entry: Entry, refusing: readonly Entry[]): number {
  const before = refusing.filter((other) => doMeet(other, entry)).map(entryText);
  return hash32([chain, entryText(entry), ...before].join("\n"), 0x811c9dc5) || 1;
}

export function markText(mark: number): string {
  return `0x${mark.toString(16).padStart(8, "0")}`;
}

/** All that an entry matches by, and not what it is called. */
function entryText({ where, protocol, ports }: Entry): string {
  const ranges = ports.map(({ from, to }) => `${from}-${to}`);
  return [placeText(where), protocol, ...ranges].join(" ");
}

function placeText(where: Where): string {
  switch (where.kind) {
    case "cidr":
      return where.prefix.text;
    case "domain":
      return where.domain;
  }
}
