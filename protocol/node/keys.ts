import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type JsonWebKey,
  sign,
  verify,
} from "node:crypto";

/** A key pair as text: both halves 32 bytes in base64url, as a JSON Web Key has them. */
export interface KeyPair {
  readonly publicKey: string;
  readonly privateKey: string;
}

/** An Ed25519 key pair: who this host is. */
export function makeIdentityKey(): KeyPair {
  return pairOf(generateKeyPairSync("ed25519").privateKey.export({ format: "jwk" }));
}

/** An X25519 key pair: WireGuard's own key format is the same 32 bytes, in base64. */
export function makeWireguardKey(): KeyPair {
  return pairOf(generateKeyPairSync("x25519").privateKey.export({ format: "jwk" }));
}

/** Whether the private half is that of the public half: false for a damaged file. */
export function isKeyPair(curve: "Ed25519" | "X25519", pair: KeyPair): boolean {
  try {
    const jwk = { kty: "OKP", crv: curve, x: pair.publicKey, d: pair.privateKey };
    const key = createPrivateKey({ key: jwk, format: "jwk" });
    return createPublicKey(key).export({ format: "jwk" }).x === pair.publicKey;
  } catch {
    return false;
  }
}

export function signText(pair: KeyPair, text: string): string {
  const jwk = { kty: "OKP", crv: "Ed25519", x: pair.publicKey, d: pair.privateKey };
  return sign(null, Buffer.from(text), createPrivateKey({ key: jwk, format: "jwk" })).toString("base64url");
}

export function verifyText(publicKey: string, text: string, signature: string): boolean {
  try {
    const key = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x: publicKey }, format: "jwk" });
    return verify(null, Buffer.from(text), key, Buffer.from(signature, "base64url"));
  } catch {
    return false;
  }
}

function pairOf(jwk: JsonWebKey): KeyPair {
  if (jwk.x === undefined || jwk.d === undefined) throw new TypeError("the key has no raw halves");
  return { publicKey: jwk.x, privateKey: jwk.d };
}
