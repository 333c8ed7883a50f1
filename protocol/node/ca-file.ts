import { X509Certificate } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import type { Logger } from "./log.ts";

/**
 * The CAs that a file pins. Read anew for each connection, so that a CA that is replaced needs no restart; while the file
 * cannot be read or holds no certificate, what it held before counts: it may be caught half written.
 */
export class CaFile {
  readonly #path: string;
  readonly #log: Logger;
  #pem: string;

  /** @throws the file system's error. */
  constructor(path: string, log: Logger) {
    this.#path = path;
    this.#log = log;
    this.#pem = readFileSync(path, "utf8");
  }

  read(): string {
    const now = this.#now();
    if (now === undefined)
      this.#log.warn({ path: this.#path }, "the CA file cannot be used: the one before is");
    else this.#pem = now;
    return this.#pem;
  }

  #now(): string | undefined {
    try {
      // What was handed over through a pipe is read once; whoever opens that again may wait for ever.
      if (!statSync(this.#path).isFile()) return this.#pem;
      const pem = readFileSync(this.#path, "utf8");
      return holdsCertificate(pem) ? pem : undefined;
    } catch {
      return undefined;
    }
  }
}

/** Whether a text in PEM begins with a certificate that can be read. */
export function holdsCertificate(pem: string): boolean {
  try {
    new X509Certificate(pem);
    return true;
  } catch {
    return false;
  }
}
