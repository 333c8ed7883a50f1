import { verify, X509Certificate } from "node:crypto";
import { join } from "node:path";
import { z } from "zod";
import { readFileIfThere } from "../../protocol/node/files.ts";
import type { Logger } from "../../protocol/node/log.ts";
import type { DocumentVerdict } from "../core/ports.ts";

/**
 * What is used of an instance identity document:
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-identity-documents.html
 */
const Document = z.object({
  accountId: z.string().regex(/^\d{12}$/),
  /** Names a file before anything is verified: no way out of the folder, and shorter than a file name may be. */
  region: z
    .string()
    .max(32)
    .regex(/^[a-z]{2,}(-[a-z]+)+-\d{1,2}$/),
  availabilityZone: z.string().min(1).max(64),
  instanceId: z.string().min(1).max(64),
  privateIp: z.string().min(1).max(64),
});

/**
 * Checks identity documents against the certificates in a directory, `REGION.pem`, as AWS publishes them. The file is
 * read for every document, so that one that was just put there counts; enrolments are rare. What is trusted are the
 * certificate's bytes: its dates are ignored, because AWS signs with certificates that have expired.
 *
 * Strangers call this: it never throws, and what is wrong on this host goes to the log.
 */
export function documentVerdict(
  directory: string,
  document: string,
  signature: string,
  log: Logger,
): DocumentVerdict {
  const claims = parse(document);
  if (!claims.success) {
    const issue = claims.error.issues[0];
    return { is: "malformed", problem: `${issue?.path.join(".") ?? ""} ${issue?.message ?? ""}`.trim() };
  }
  const { region } = claims.data;
  const certificates = certificatesOf(join(directory, `${region}.pem`), log);
  if (certificates.length === 0) return { is: "untrusted", region };
  const bytes = Buffer.from(document);
  const signed = Buffer.from(signature, "base64");
  const isGenuine = certificates.some((certificate) => isSignedBy(certificate, bytes, signed));
  return isGenuine ? { is: "genuine", claims: claims.data } : { is: "forged", region };
}

function parse(document: string) {
  let json: unknown;
  try {
    json = JSON.parse(document);
  } catch {
    json = undefined;
  }
  return Document.safeParse(json);
}

const pemBlock = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** All certificates of a file: during a rotation there may be the old and the new one. */
function certificatesOf(file: string, log: Logger): X509Certificate[] {
  let text: string | undefined;
  try {
    text = readFileIfThere(file);
  } catch (error) {
    log.error({ file, err: error }, "certificate file cannot be read");
  }
  return ((text ?? "").match(pemBlock) ?? []).flatMap((pem) => {
    try {
      return [new X509Certificate(pem)];
    } catch (error) {
      log.error({ file, err: error }, "certificate is none");
      return [];
    }
  });
}

function isSignedBy({ publicKey }: X509Certificate, bytes: Buffer, signature: Buffer): boolean {
  try {
    return verify("sha256", bytes, publicKey, signature);
  } catch {
    // A key of a kind that does not sign like this.
    return false;
  }
}
