import { createHash, createPrivateKey, createPublicKey, type KeyObject, sign } from "node:crypto";
import type { Role } from "../../protocol/messages.ts";

/** An Ed25519 identity that every process of a bench makes alike from its number: keys need not be handed around. */
export interface Identity {
  readonly publicKey: string;
  sign(text: string): string;
}

/** A private key of Ed25519 in PKCS #8 (RFC 8410, 7) before its 32 bytes. */
const header = Buffer.from("302e020100300506032b657004220420", "hex");

export function identityOf(role: Role, i: number): Identity {
  const seed = createHash("sha256").update(`${role} ${i}`).digest();
  const key = createPrivateKey({ key: Buffer.concat([header, seed]), format: "der", type: "pkcs8" });
  return {
    publicKey: publicHalf(key),
    sign: (text) => sign(null, Buffer.from(text), key).toString("base64url"),
  };
}

function publicHalf(key: KeyObject): string {
  const { x } = createPublicKey(key).export({ format: "jwk" });
  if (x === undefined) throw new TypeError("the key has no public half");
  return x;
}
