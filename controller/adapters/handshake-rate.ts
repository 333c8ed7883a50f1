import { parseAddress } from "../../protocol/address.ts";
import { type Rate, TokenBucket } from "./token-bucket.ts";

interface Network {
  readonly bucket: TokenBucket;
  isRefusing: boolean;
}

/**
 * How many links one address may open. A NAT with a few hundred devices behind it passes; a loop that dials without
 * pause does not.
 */
export class HandshakeRate {
  readonly #rate: Rate;
  /** By network. BOUNDED: `networksMax` */
  readonly #networks = new Map<string, Network>();

  constructor(rate: Rate) {
    this.#rate = rate;
  }

  /** Undefined when this one may go on; else how long to wait, and whether it is the first in a row of refusals. */
  refusal(address: string, nowMs: number): { waitSeconds: number; isFirst: boolean } | undefined {
    const name = networkOf(address);
    const network = this.#networks.get(name) ?? {
      bucket: new TokenBucket(this.#rate, nowMs),
      isRefusing: false,
    };
    this.#networks.delete(name);
    this.#makeRoom();
    this.#networks.set(name, network);
    const waitMs = network.bucket.take(nowMs);
    const isFirst = !network.isRefusing;
    network.isRefusing = waitMs > 0;
    return waitMs === 0 ? undefined : { waitSeconds: Math.max(1, Math.ceil(waitMs / 1000)), isFirst };
  }

  /** The network that was silent longest is forgotten: it is the first in the map. */
  #makeRoom(): void {
    if (this.#networks.size < networksMax) return;
    const [oldest] = this.#networks.keys();
    if (oldest !== undefined) this.#networks.delete(oldest);
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
