/**
 * How many links one address may open: a bucket that fills steadily and holds a burst. A NAT with a few hundred
 * devices behind it passes; a loop that dials without pause does not.
 */
export class HandshakeRate {
  readonly #perSecond: number;
  readonly #burst: number;
  /** BOUNDED: `addressesMax` */
  readonly #buckets = new Map<string, { tokens: number; atMs: number }>();

  constructor(options: { perSecond: number; burst: number }) {
    this.#perSecond = options.perSecond;
    this.#burst = options.burst;
  }

  /** Seconds to wait, or undefined when this one may go on. */
  refusal(address: string, nowMs: number): number | undefined {
    const bucket = this.#buckets.get(address) ?? { tokens: this.#burst, atMs: nowMs };
    this.#buckets.delete(address);
    bucket.tokens = Math.min(this.#burst, bucket.tokens + ((nowMs - bucket.atMs) / 1000) * this.#perSecond);
    bucket.atMs = nowMs;
    this.#makeRoom();
    this.#buckets.set(address, bucket);
    if (bucket.tokens < 1) return Math.max(1, Math.ceil((1 - bucket.tokens) / this.#perSecond));
    bucket.tokens -= 1;
    return undefined;
  }

  /** The address that was silent longest is forgotten: it is the first in the map. */
  #makeRoom(): void {
    if (this.#buckets.size < addressesMax) return;
    const [oldest] = this.#buckets.keys();
    if (oldest !== undefined) this.#buckets.delete(oldest);
  }
}

const addressesMax = 10_000;
