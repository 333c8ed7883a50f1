import { parseAddress } from "../../protocol/address.ts";

interface Bucket {
  tokens: number;
  atMs: number;
  isRefusing: boolean;
}

/**
 * How many links one address may open: a bucket that fills steadily and holds a burst. A NAT with a few hundred
 * devices behind it passes; a loop that dials without pause does not.
 */
export class HandshakeRate {
  readonly #perSecond: number;
  readonly #burst: number;
  /** By network. BOUNDED: `networksMax` */
  readonly #buckets = new Map<string, Bucket>();

  constructor(options: { perSecond: number; burst: number }) {
    this.#perSecond = options.perSecond;
    this.#burst = options.burst;
  }

  /** Undefined when this one may go on; else how long to wait, and whether it is the first in a row of refusals. */
  refusal(address: string, nowMs: number): { waitSeconds: number; isFirst: boolean } | undefined {
    const network = networkOf(address);
    const bucket = this.#buckets.get(network) ?? { tokens: this.#burst, atMs: nowMs, isRefusing: false };
    this.#buckets.delete(network);
    bucket.tokens = Math.min(this.#burst, bucket.tokens + ((nowMs - bucket.atMs) / 1000) * this.#perSecond);
    bucket.atMs = nowMs;
    this.#makeRoom();
    this.#buckets.set(network, bucket);
    const isFirst = !bucket.isRefusing;
    bucket.isRefusing = bucket.tokens < 1;
    if (bucket.isRefusing) {
      return { waitSeconds: Math.max(1, Math.ceil((1 - bucket.tokens) / this.#perSecond)), isFirst };
    }
    bucket.tokens -= 1;
    return undefined;
  }

  /** The network that was silent longest is forgotten: it is the first in the map. */
  #makeRoom(): void {
    if (this.#buckets.size < networksMax) return;
    const [oldest] = this.#buckets.keys();
    if (oldest !== undefined) this.#buckets.delete(oldest);
  }
}

const networksMax = 10_000;

/** A socket that listens for both families names an IPv4 peer in its IPv6 form (RFC 4291, 2.5.5.2). */
export function plainAddress(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.\d+\.\d+\.\d+$)/i, "");
}

/** An IPv4 address stands for itself, an IPv6 address for its /64: a host has a whole one to dial from. */
function networkOf(address: string): string {
  const plain = plainAddress(address);
  const parsed = parseAddress(plain.split("%", 1)[0] ?? "");
  return parsed?.family === 6 ? (parsed.value >> 64n).toString(16) : plain;
}
