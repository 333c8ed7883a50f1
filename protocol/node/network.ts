import type { IncomingMessage } from "node:http";
import type { FailureCode } from "../failures.ts";

/** OpenSSL's verification results as Node names them, and its own: https://nodejs.org/api/tls.html#x509-certificate-error-codes */
const tlsErrors =
  /^(ERR_TLS|ERR_SSL|EPROTO|UNABLE_TO_|CERT_|SELF_SIGNED|DEPTH_ZERO|CRL_|INVALID_|PATH_LENGTH|HOSTNAME_)/;

/** Whether an error code says that a connection was made but its certificate or handshake was not accepted. */
export function isTlsError(code: string): boolean {
  return tlsErrors.test(code);
}

/** What such an error means to who dials a controller. Dates alone are wrong where a clock is. */
export function tlsFailureOf(code: string): FailureCode {
  if (code === "CERT_NOT_YET_VALID") return "link.certificate-early";
  return code === "CERT_HAS_EXPIRED" ? "link.certificate-expired" : "link.tls";
}

/** An answer's body as text. Throws a SyntaxError past `bytesMax`. */
export async function readAnswer(response: IncomingMessage, bytesMax: number): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response) {
    bytes += (chunk as Buffer).length;
    if (bytes > bytesMax) throw new SyntaxError("the answer is too long");
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks).toString("utf8");
}
