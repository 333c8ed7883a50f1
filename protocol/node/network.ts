import type { IncomingMessage } from "node:http";

/** OpenSSL's verification results as Node names them, and its own: https://nodejs.org/api/tls.html#x509-certificate-error-codes */
const tlsErrors =
  /^(ERR_TLS|ERR_SSL|EPROTO|UNABLE_TO_|CERT_|SELF_SIGNED|DEPTH_ZERO|CRL_|INVALID_|PATH_LENGTH|HOSTNAME_)/;

/** Whether an error code says that a connection was made but its certificate or handshake was not accepted. */
export function isTlsError(code: string): boolean {
  return tlsErrors.test(code);
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
