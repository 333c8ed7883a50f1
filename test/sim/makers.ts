import type { Makers } from "../../controller/core/ports.ts";
import { hash } from "./random.ts";

/** A key or nonce: 43 letters of base64url, canonical. */
export function key(kind: string, number: number): string {
  return `${kind}${number}`.padEnd(42, "_").concat("A");
}

/** As little as a signature can be: nobody here forges one by accident. */
export function sign(text: string, identityKey: string): string {
  return `${hash(text)}-${hash(identityKey)}`.padEnd(86, "s");
}

/** Ids and secrets that count up. */
export function countingMakers(): Makers {
  let made = 0;
  const next = () => ++made;
  return {
    id: () => `00000000-0000-4000-8000-${next().toString(16).padStart(12, "0")}`,
    nonce: () => key("nonce", next()),
    secret: (kind) => `${kind}_${next()}`.padEnd(24, "x"),
    hash: (secret) => `hash of ${secret}`,
  };
}
