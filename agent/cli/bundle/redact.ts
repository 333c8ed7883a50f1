import { createHash } from "node:crypto";

/**
 * Takes secrets out of text, by form and by name, whatever wrote it: 32 bytes or more in base64 (keys, tokens,
 * signatures), 32 bytes in hex, and what follows the name of a secret. A few harmless values go with them; a public
 * key in a bundle helps nobody.
 */
export function redact(text: string, known: readonly string[]): string {
  let safe = text;
  for (const secret of known) {
    if (secret.length >= 4) safe = safe.replaceAll(secret, "[redacted]");
  }
  return safe
    .replace(privateKeyBlock, "[redacted]")
    .replace(named, "$1[redacted]")
    .replace(base64, (run) => (/[a-z]/.test(run) && /[A-Z]/.test(run) ? "[redacted]" : run))
    .replace(hex, "[redacted]");
}

const privateKeyBlock = /-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(-----END [A-Z ]*PRIVATE KEY-----|$)/g;
const named = /("?\b(?:otp|password|passwd|token|secret|private_?key|d)"?\s*[:=]\s*"?)[^\s",}]+/gi;
const base64 = /[A-Za-z0-9+/_-]{43,}={0,2}/g;
const hex = /(?<![0-9A-Za-z])[0-9A-Fa-f]{64}(?![0-9A-Za-z])/g;

/** Gives each user's name one replacement throughout a bundle. The salt is not kept: nobody can try names on it. */
export class Anonymiser {
  readonly #salt: string;
  /** BOUNDED: by the users in the views. */
  readonly #users = new Map<string, string>();

  constructor(salt: string) {
    this.#salt = salt;
  }

  learn(users: Iterable<string>): void {
    for (const user of users) this.#replacement(user);
  }

  /** Replaces names that were learned, and whatever a log line calls a user. */
  apply(text: string): string {
    const named = text.replace(/("user"\s*:\s*)"((?:[^"\\]|\\.)*)"/g, (_all, field: string, user: string) => {
      return `${field}"${this.#replacement(user)}"`;
    });
    const longestFirst = [...this.#users.keys()].toSorted((a, b) => b.length - a.length);
    if (longestFirst.length === 0) return named;
    const pattern = longestFirst.map((user) => user.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|");
    return named.replace(new RegExp(`(?<![\\p{L}\\p{N}])(?:${pattern})(?![\\p{L}\\p{N}])`, "gu"), (user) => {
      return this.#replacement(user);
    });
  }

  #replacement(user: string): string {
    if (/^user-[0-9a-f]{8}$/.test(user)) return user;
    let replacement = this.#users.get(user);
    if (replacement === undefined) {
      replacement = `user-${createHash("sha256").update(this.#salt).update(user).digest("hex").slice(0, 8)}`;
      this.#users.set(user, replacement);
    }
    return replacement;
  }
}
