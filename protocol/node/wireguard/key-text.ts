import { createPrivateKey, createPublicKey } from "node:crypto";

/** One key, three spellings: base64url on our wire, base64 in `wg`, hexadecimal on the control socket. */

export function hexOfKey(key: string): string {
  return Buffer.from(key, "base64url").toString("hex");
}

export function keyOfHex(hex: string): string {
  if (!/^[0-9a-f]{64}$/i.test(hex)) throw new SyntaxError("a key is not 32 bytes in hexadecimal");
  return Buffer.from(hex, "hex").toString("base64url");
}

export function base64OfKey(key: string): string {
  return Buffer.from(key, "base64url").toString("base64");
}

export function keyOfBase64(text: string): string {
  if (!/^[A-Za-z0-9+/]{43}=$/.test(text)) throw new SyntaxError("a key is not 32 bytes in base64");
  return Buffer.from(text, "base64").toString("base64url");
}

/** RFC 8410's private key around 32 raw bytes. */
const pkcs8Head = Buffer.from("302e020100300506032b656e04220420", "hex");
const noKey = Buffer.alloc(32).toString("base64url");

/** The public half of an X25519 key; undefined for the key of zeros, which WireGuard shows where there is none. */
export function publicKeyOf(privateKey: string): string | undefined {
  if (privateKey === noKey) return undefined;
  const der = Buffer.concat([pkcs8Head, Buffer.from(privateKey, "base64url")]);
  return createPublicKey(createPrivateKey({ key: der, format: "der", type: "pkcs8" })).export({
    format: "jwk",
  }).x;
}
