import { awsPrefixLength, contains, overlaps, type Prefix, parsePrefix } from "../../protocol/address.ts";
import type { FailureCode } from "../../protocol/failures.ts";
import type { Ipv6PoolMatch } from "../../protocol/specs.ts";
import type { InterfaceFacts, Pools } from "./ports.ts";

/** A range that a pool leases from, as the controller configured it. */
export interface ConfiguredRange {
  readonly pool: string;
  readonly text: string;
  /** Undefined when the text is no prefix; `fault` says why. */
  readonly prefix: Prefix | undefined;
  readonly fault: FailureCode | undefined;
}

export function rangesOf(pools: Pools): ConfiguredRange[] {
  return [...pools].flatMap(([pool, spec]) =>
    [...spec.ipv4, ...spec.ipv6].map((text) => {
      const parsed = parsePrefix(text);
      return parsed.ok
        ? { pool, text: parsed.value.text, prefix: parsed.value, fault: undefined }
        : { pool, text, prefix: undefined, fault: parsed.failure.code };
    }),
  );
}

/** What is wrong with a configured range whatever AWS assigned: not a prefix, its length, an overlap, another subnet. */
export function rangeFault(
  range: ConfiguredRange,
  all: readonly ConfiguredRange[],
  match: Ipv6PoolMatch,
  facts: InterfaceFacts | undefined,
): FailureCode | undefined {
  const { prefix } = range;
  if (prefix === undefined) return range.fault;
  if (!isLengthRight(prefix, match)) return "prefix.length";
  if (all.some((other) => other !== range && other.prefix !== undefined && overlaps(other.prefix, prefix))) {
    return "prefix.overlap";
  }
  const subnets = facts === undefined ? [] : prefix.family === 4 ? [facts.subnetIpv4] : facts.subnetIpv6;
  const known = subnets.flatMap((text) => {
    const subnet = parsePrefix(text ?? "");
    return subnet.ok ? [subnet.value] : [];
  });
  if (known.length > 0 && !known.some((subnet) => contains(subnet, prefix))) return "prefix.outside-subnet";
  return undefined;
}

function isLengthRight(prefix: Prefix, match: Ipv6PoolMatch): boolean {
  const wanted = awsPrefixLength[prefix.family];
  return prefix.family === 6 && match === "within" ? prefix.length >= wanted : prefix.length === wanted;
}
