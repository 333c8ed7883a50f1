import { contains, overlaps, type Prefix, parsePrefix } from "../../protocol/address.ts";
import type { ResourceSpec } from "../../protocol/specs.ts";
import { safeName } from "./firewall-names.ts";

/*
 * Which entry decides
 *
 * 1. An entry *matches* a connection when its destination holds the address at the private end, and its protocol and
 *    ports hold the connection's. Ports are those connected to: the application's, or for a connection that a server
 *    opens towards a user, the user's.
 * 2. Of the entries that match, the *most specific* decides alone: first by destination, the longest prefix, where
 *    an address learned for a domain counts as a host's prefix; then by ports, the fewest, where all ports of one
 *    protocol are more than any list, and `any` protocol is the most.
 * 3. The deciding entry lets the connection through when it names the user's group, and, for one opened by a server,
 *    when it is server-initiated. Of entries equally specific, one that lets through decides.
 * 4. A CIDR entry decides over all groups: one that names only the database administrators keeps everyone else from
 *    that address, whatever wider entry they have. A domain entry decides only for the groups it names: its addresses
 *    are learned from answers, and what one group looks up must not take anything from another.
 * 5. Where no entry matches, nothing passes.
 */

/** One service as one group meets it. */
export interface Entry {
  readonly service: string;
  readonly where: Where;
  readonly protocol: ResourceSpec["protocol"];
  /** Ascending, apart from each other; empty for all ports. */
  readonly ports: readonly Ports[];
  /** Whether the group is named: an entry of others is there to refuse. */
  readonly admits: boolean;
  readonly serverInitiated: boolean;
}

export type Where =
  | { readonly kind: "cidr"; readonly prefix: Prefix }
  /** A domain and everything below it: dnsmasq's nftset knows no other match. */
  | { readonly kind: "domain"; readonly domain: string };

export interface Ports {
  readonly from: number;
  readonly to: number;
}

/** What one group meets, in the order in which the first match decides. */
export function entriesOf(group: string, resources: Iterable<ResourceSpec>): Entry[] {
  const all = [...resources].flatMap((resource) => entryOf(resource, group));
  const own = all.filter(({ admits }) => admits);
  const carving = all.filter((entry) => !entry.admits && own.some((wider) => takesFrom(entry, wider)));
  return [...own, ...carving].sort(bySpecificity);
}

/** `*.example.internal` and `example.internal` are one: see `Where`. */
export function domainKey(pattern: string): string {
  return pattern.replace(/^\*\./, "");
}

/** Whether there can be a connection that both match. */
export function doMeet(a: Entry, b: Entry): boolean {
  return isSamePlace(a.where, b.where) && isSameKind(a, b);
}

function isSamePlace(a: Where, b: Where): boolean {
  // What a domain's addresses will be is not known.
  return a.kind === "domain" || b.kind === "domain" || overlaps(a.prefix, b.prefix);
}

function isSameKind(a: Entry, b: Entry): boolean {
  if (a.protocol === "any" || b.protocol === "any") return true;
  if (a.protocol !== b.protocol) return false;
  if (a.ports.length === 0 || b.ports.length === 0) return true;
  return a.ports.some((one) => b.ports.some((other) => one.from <= other.to && other.from <= one.to));
}

/** Letters that mean nothing to nft and dnsmasq: whatever validated it before, no other text gets into their files. */
export function isPlainDomain(domain: string): boolean {
  return /^[a-z0-9_-]+(\.[a-z0-9_-]+)*$/.test(domain);
}

function entryOf(resource: ResourceSpec, group: string): Entry[] {
  const where = whereOf(resource.destination);
  if (where === undefined) return [];
  const { name, protocol, serverInitiated } = resource;
  const ports = joined(resource.ports);
  return [
    { service: name, where, protocol, ports, admits: resource.groups.includes(group), serverInitiated },
  ];
}

function whereOf(destination: ResourceSpec["destination"]): Where | undefined {
  if ("domain" in destination) {
    const domain = domainKey(destination.domain);
    return isPlainDomain(domain) ? { kind: "domain", domain } : undefined;
  }
  const prefix = parsePrefix(destination.cidr);
  return prefix.ok ? { kind: "cidr", prefix: prefix.value } : undefined;
}

/** Whether an entry of other groups takes something from a less specific one of this group. */
function takesFrom(other: Entry, own: Entry): boolean {
  if (other.where.kind !== "cidr" || bySpecificity(other, own) > 0) return false;
  // What a domain's addresses will be is not known: any host's prefix may be one.
  return own.where.kind === "domain" || contains(own.where.prefix, other.where.prefix);
}

function bySpecificity(a: Entry, b: Entry): number {
  return (
    hostBits(a.where) - hostBits(b.where) ||
    breadth(a) - breadth(b) ||
    Number(b.admits) - Number(a.admits) ||
    Number(b.serverInitiated) - Number(a.serverInitiated) ||
    (a.service < b.service ? -1 : 1)
  );
}

/** Of the two families no packet has both, so their order among each other is nothing. */
function hostBits(where: Where): number {
  if (where.kind === "domain") return 0;
  return (where.prefix.family === 4 ? 32 : 128) - where.prefix.length;
}

function breadth({ protocol, ports }: Entry): number {
  if (protocol === "any") return 65_537;
  if (ports.length === 0) return 65_536;
  return ports.reduce((sum, { from, to }) => sum + to - from + 1, 0);
}

/** `80, 8000-8010`: as nft writes them. */
export function portText(ports: readonly Ports[]): string {
  return ports.map(({ from, to }) => (from === to ? `${from}` : `${from}-${to}`)).join(", ");
}

/** The set that holds a list of ports: equal lists share one. */
export function portSet(ports: readonly Ports[]): string {
  return safeName("ports", portText(ports));
}

/** The lists of ports that services have, by set. */
export function portSetsOf(resources: Iterable<ResourceSpec>): ReadonlyMap<string, string> {
  const lists = [...resources].map(({ ports }) => joined(ports)).filter(({ length }) => length > 1);
  return new Map(lists.map((ports) => [portSet(ports), portText(ports)]));
}

/** Ranges that overlap or touch become one: nft takes no overlaps, and the breadth counts each port once. */
function joined(ranges: readonly Ports[]): Ports[] {
  const result: Ports[] = [];
  for (const range of [...ranges].sort((a, b) => a.from - b.from)) {
    const last = result.at(-1);
    if (last === undefined || range.from > last.to + 1) result.push({ from: range.from, to: range.to });
    else result[result.length - 1] = { from: last.from, to: Math.max(last.to, range.to) };
  }
  return result;
}
