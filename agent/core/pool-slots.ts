import { addressAt, type Family, type Prefix, parsePrefix, usableAddresses } from "../../protocol/address.ts";
import type { PoolSpec } from "../../protocol/specs.ts";

/** What one session gets: an address of each family that its pool has. */
export interface Pair {
  readonly ipv4: string | undefined;
  readonly ipv6: string | undefined;
}

/** Where an address lies in a pool. Its slot may be behind the last one: surplus of the longer family. */
export interface Place {
  readonly slot: number;
  readonly verified: boolean;
}

interface Range {
  readonly prefix: Prefix;
  /** Slot of its first address. */
  readonly start: number;
  readonly size: number;
  readonly verified: boolean;
  readonly at: (offset: number) => string;
}

/** Slots `from` to before `to` lie in one range of each family. */
interface Segment {
  readonly from: number;
  readonly to: number;
  readonly ipv4: Range | undefined;
  readonly ipv6: Range | undefined;
  readonly grantable: boolean;
}

/**
 * The slots of one pool as numbers: slot k is the k-th address over the ranges of each family in configured order, so
 * that with ranges of equal size both addresses have the same offset. Arithmetic only; nothing is kept per slot.
 */
export class PoolSlots {
  readonly count: number;
  /** Slots whose every range is verified. */
  readonly grantableCount: number;
  /** IPv6 is shorter than IPv4, so IPv4 addresses go unused. The other way round is normal. */
  readonly uneven: boolean;
  readonly #ranges: Readonly<Record<Family, readonly Range[]>>;
  /** BOUNDED: one per range at most (PoolSpec). Ascending and without gaps. */
  readonly #segments: readonly Segment[];

  constructor(spec: Pick<PoolSpec, "ipv4" | "ipv6">, verified: ReadonlySet<string>) {
    const ranges = { 4: rangesOf(spec.ipv4, verified), 6: rangesOf(spec.ipv6, verified) };
    const lengths = { 4: lengthOf(ranges[4]), 6: lengthOf(ranges[6]) };
    const dual = ranges[4].length > 0 && ranges[6].length > 0;
    this.#ranges = ranges;
    this.count = dual ? Math.min(lengths[4], lengths[6]) : lengths[4] + lengths[6];
    this.uneven = dual && lengths[6] < lengths[4];
    this.#segments = segmentsOf(ranges[4], ranges[6], this.count);
    this.grantableCount = this.#segments.reduce(
      (sum, { grantable, from, to }) => sum + (grantable ? to - from : 0),
      0,
    );
  }

  pair(slot: number): Pair {
    const segment = this.#segmentOf(slot);
    return { ipv4: addressIn(segment?.ipv4, slot), ipv6: addressIn(segment?.ipv6, slot) };
  }

  isGrantable(slot: number): boolean {
    return this.#segmentOf(slot)?.grantable ?? false;
  }

  /** The first grantable slot at or behind `from`. */
  nextGrantable(from: number): number | undefined {
    for (let i = this.#indexOf(from); i < this.#segments.length; i++) {
      const segment = this.#segments[i];
      if (segment?.grantable) return Math.max(from, segment.from);
    }
    return undefined;
  }

  /** Undefined when no range of the pool has the address. */
  locate(family: Family, value: bigint): Place | undefined {
    for (const range of this.#ranges[family]) {
      const offset = value - range.prefix.first;
      if (offset >= 0n && offset < range.size) {
        return { slot: range.start + Number(offset), verified: range.verified };
      }
    }
    return undefined;
  }

  #segmentOf(slot: number): Segment | undefined {
    return this.#segments[this.#indexOf(slot)];
  }

  /** The index of the segment a slot lies in; behind the last one for a slot behind the last. */
  #indexOf(slot: number): number {
    let low = 0;
    let high = this.#segments.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (slot >= (this.#segments[middle]?.to ?? 0)) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** A text that is no prefix gives no addresses; it is named where configuration is judged. */
function rangesOf(texts: readonly string[], verified: ReadonlySet<string>): Range[] {
  const ranges: Range[] = [];
  let start = 0;
  for (const text of texts) {
    const parsed = parsePrefix(text);
    if (!parsed.ok) continue;
    const prefix = parsed.value;
    const size = usableAddresses(prefix);
    ranges.push({ prefix, start, size, verified: verified.has(prefix.text), at: addressAt(prefix) });
    start += size;
  }
  return ranges;
}

function lengthOf(ranges: readonly Range[]): number {
  return ranges.reduce((sum, range) => sum + range.size, 0);
}

function segmentsOf(ipv4: readonly Range[], ipv6: readonly Range[], count: number): Segment[] {
  const starts = new Set([...ipv4, ...ipv6].map((range) => range.start).filter((start) => start < count));
  const borders = [...starts].sort((a, b) => a - b);
  return borders.map((from, i) => {
    const inIpv4 = rangeAt(ipv4, from);
    const inIpv6 = rangeAt(ipv6, from);
    const grantable = (inIpv4?.verified ?? true) && (inIpv6?.verified ?? true);
    return { from, to: borders[i + 1] ?? count, ipv4: inIpv4, ipv6: inIpv6, grantable };
  });
}

function rangeAt(ranges: readonly Range[], slot: number): Range | undefined {
  return ranges.find((range) => slot >= range.start && slot < range.start + range.size);
}

function addressIn(range: Range | undefined, slot: number): string | undefined {
  return range?.at(slot - range.start);
}
