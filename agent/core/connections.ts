import { type Family, type Prefix, parseAddress, prefixAround } from "../../protocol/address.ts";

/**
 * Which filters delete the connections of many addresses. The kernel's table is read whole for every filter, 0.3 s with
 * 100,000 connections, so that an address each would take minutes: neighbours become one prefix that holds, of
 * all addresses that have connections, none but those.
 */

export type Side = "--orig-src" | "--orig-dst";

export interface Filter {
  readonly side: Side;
  /** `10.0.1.16/28` */
  readonly prefix: string;
}

/**
 * The filters for addresses of one family, by what `conntrack -L` listed. What was opened since by another address of
 * such a prefix is deleted too, and is taken for new with its next packet.
 */
export function deletionsOf(family: Family, addresses: Iterable<string>, listing: string): Filter[] {
  const ended = new Set(addresses);
  const [sources, destinations] = [new Set<string>(), new Set<string>()];
  // The first pair of a line is the original direction's.
  for (const [, source = "", destination = ""] of listing.matchAll(/^.*?\bsrc=(\S+) dst=(\S+)/gm)) {
    sources.add(source);
    destinations.add(destination);
  }
  return [
    ...covering(family, ended, sources).map((prefix) => ({ side: "--orig-src", prefix }) as const),
    ...covering(family, ended, destinations).map((prefix) => ({ side: "--orig-dst", prefix }) as const),
  ];
}

/** The fewest prefixes that hold every address that is in both sets, and no other of `present`; each as narrow as can be. */
export function covering(
  family: Family,
  wanted: ReadonlySet<string>,
  present: ReadonlySet<string>,
): string[] {
  const ours: bigint[] = [];
  const others: bigint[] = [];
  if (![...present].some((text) => wanted.has(text))) return [];
  for (const text of present) {
    const address = parseAddress(text);
    if (address?.family === family) (wanted.has(text) ? ours : others).push(address.value);
  }
  ours.sort(ascending);
  others.sort(ascending);
  const prefixes: string[] = [];
  let passed = 0;
  for (let i = 0; i < ours.length; ) {
    const from = ours[i] ?? 0n;
    while (passed < others.length && (others[passed] ?? 0n) < from) passed++;
    const room = widest(family, from, others[passed - 1], others[passed]);
    let to = from;
    while (i < ours.length && (ours[i] ?? 0n) <= lastOf(room)) to = ours[i++] ?? to;
    prefixes.push(narrowest(room, from, to).text);
  }
  return prefixes;
}

/** The widest prefix that holds an address and lies strictly between two others. */
function widest(
  family: Family,
  address: bigint,
  above: bigint | undefined,
  below: bigint | undefined,
): Prefix {
  for (let length = 0; ; length++) {
    const prefix = prefixAround(family, address, length);
    const isBelow = above === undefined || prefix.first > above;
    const isAbove = below === undefined || lastOf(prefix) < below;
    if ((isBelow && isAbove) || length === bitsOf[family]) return prefix;
  }
}

/** The narrowest prefix in another that holds both addresses. */
function narrowest(room: Prefix, from: bigint, to: bigint): Prefix {
  let result = room;
  for (let length = room.length; length <= bitsOf[room.family]; length++) {
    const prefix = prefixAround(room.family, from, length);
    if (lastOf(prefix) < to) break;
    result = prefix;
  }
  return result;
}

const bitsOf = { 4: 32, 6: 128 } as const;

function lastOf({ family, length, first }: Prefix): bigint {
  return first + (1n << BigInt(bitsOf[family] - length)) - 1n;
}

function ascending(a: bigint, b: bigint): number {
  return a < b ? -1 : 1;
}
