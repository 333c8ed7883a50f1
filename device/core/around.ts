import {
  addressAt,
  containsAddress,
  type Prefix,
  parseAddress,
  parsePrefix,
} from "../../protocol/address.ts";

/**
 * The destinations without the addresses in `holes`, as prefixes that leave those out: an address in no prefix of ours is
 * routed as the host routes it, also when its own network changes. Whole families become two halves, so that the host's
 * default route is never the same destination as one of ours.
 *
 * BOUNDED: a hole of `n` bits turns one prefix into at most `n` of them.
 */
export function around(destinations: readonly string[], holes: readonly string[]): string[] {
  const left = destinations.flatMap((text) => {
    const prefix = parsePrefix(text);
    if (!prefix.ok) return [];
    const inside = holes.filter((hole) => containsAddress(prefix.value, hole));
    return without(prefix.value, inside);
  });
  return [...new Set(left)];
}

/** The address of `192.0.2.1:51820` or `[2001:db8::1]:51820`; undefined where there is none. */
export function addressOfEndpoint(endpoint: string): string | undefined {
  const [, ipv6, ipv4] = /^(?:\[([^\]]+)\]|([^:]+)):\d+$/.exec(endpoint) ?? [];
  return parseAddress(ipv6 ?? ipv4 ?? "")?.text;
}

function without(prefix: Prefix, holes: readonly string[]): string[] {
  if (holes.length === 0 && prefix.length > 0) return [prefix.text];
  const bits = prefix.family === 4 ? 32 : 128;
  if (prefix.length === bits) return [];
  return halvesOf(prefix, bits).flatMap((half) =>
    without(
      half,
      holes.filter((hole) => containsAddress(half, hole)),
    ),
  );
}

function halvesOf({ family, first, length }: Prefix, bits: number): Prefix[] {
  return [first, first + (1n << BigInt(bits - length - 1))].map((start) => {
    const half = { family, first: start, length: length + 1, text: "" };
    return { ...half, text: `${addressAt(half)(0)}/${half.length}` };
  });
}
