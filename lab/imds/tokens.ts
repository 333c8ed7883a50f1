// Session tokens of IMDSv2. A token carries its expiry under a key of the instance, so nothing is stored, tokens of
// another instance fail, and they survive as long as the instance: all as in real life.
import { createHmac, timingSafeEqual } from "node:crypto";

/** https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html: one second to six hours. */
const ttlSecondsMax = 21_600;
const expiryBytes = 8;

export class Tokens {
  readonly #key: Uint8Array;

  constructor(key: Uint8Array) {
    this.#key = key;
  }

  issue(ttlSeconds: number, nowMs: number): string {
    const expiry = Buffer.alloc(expiryBytes);
    expiry.writeBigUInt64BE(BigInt(Math.round(nowMs)) + BigInt(ttlSeconds) * 1000n);
    return Buffer.concat([expiry, this.#seal(expiry)]).toString("base64url");
  }

  /** How long the token is still good, in seconds; undefined when it is not ours, is damaged or has expired. */
  secondsLeft(token: string, nowMs: number): number | undefined {
    const bytes = Buffer.from(token, "base64url");
    const expiry = bytes.subarray(0, expiryBytes);
    const seal = this.#seal(expiry);
    const given = bytes.subarray(expiryBytes);
    if (given.length !== seal.length || !timingSafeEqual(given, seal)) return undefined;
    const leftMs = Number(expiry.readBigUInt64BE()) - nowMs;
    return leftMs > 0 ? Math.ceil(leftMs / 1000) : undefined;
  }

  #seal(expiry: Uint8Array): Buffer {
    return createHmac("sha256", this.#key).update(expiry).digest();
  }
}

/** The asked time to live, or undefined where the service answers 400. */
export function parseTtlSeconds(header: string | undefined): number | undefined {
  if (header === undefined || !/^\d{1,5}$/.test(header)) return undefined;
  const seconds = Number(header);
  return seconds >= 1 && seconds <= ttlSecondsMax ? seconds : undefined;
}
