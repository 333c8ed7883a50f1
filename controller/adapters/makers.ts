import { createHash, randomBytes, randomUUID } from "node:crypto";
import type { Makers } from "../core/ports.ts";

export const makers: Makers = {
  id: () => randomUUID(),
  nonce: () => randomBytes(32).toString("base64url"),
  secret: (kind) => `${kind}_${readable(randomBytes(20))}`,
  hash: (secret) => createHash("sha256").update(secret).digest("base64url"),
};

/** Crockford's base 32: no letters that look like digits. https://www.crockford.com/base32.html */
const alphabet = "0123456789abcdefghjkmnpqrstvwxyz";

/** Five bits a character; 20 bytes are 32 characters. */
function readable(bytes: Buffer): string {
  let text = "";
  let bits = 0;
  let value = 0;
  for (const byte of bytes) {
    value = (value << 8) | byte;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      text += alphabet[(value >> bits) & 31];
    }
    value &= (1 << bits) - 1;
  }
  return text;
}
