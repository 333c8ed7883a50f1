// The keys and certificates the lab stands in for: a certificate authority with a server certificate for the
// controller, and per region what AWS signs instance identity documents with. Keys are made anew each time; only
// the server's is ever written down.
import "reflect-metadata";
import { KeyObject, randomBytes, sign, webcrypto } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as x509 from "@peculiar/x509";
import type { DocumentSigner } from "./imds/identity.ts";

export interface CertificateAuthority {
  /** What clients pin or trust. */
  readonly certificatePem: string;
  /** A server certificate for these names and addresses, valid now for 90 days if not told otherwise. */
  issueServer(names: readonly string[], validity?: Validity): Promise<ServerCertificate>;
}

export interface Validity {
  readonly notBefore: Date;
  readonly notAfter: Date;
}

export interface ServerCertificate {
  certificatePem: string;
  privateKeyPem: string;
}

/** A stand-in for one region's AWS key; its certificate is self-signed, as AWS's are. */
export interface RegionSigner extends DocumentSigner {
  readonly certificatePem: string;
}

export const loopbackNames = ["localhost", "127.0.0.1", "::1"] as const;

const ecdsa = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };

export async function createAuthority(): Promise<CertificateAuthority> {
  const keys = await webcrypto.subtle.generateKey(ecdsa, true, ["sign", "verify"]);
  const subject = "CN=Connector lab CA";
  const authority = await x509.X509CertificateGenerator.createSelfSigned({
    name: subject,
    keys,
    signingAlgorithm: ecdsa,
    serialNumber: serialNumber(),
    ...validFor(365),
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return {
    certificatePem: pem(authority),
    issueServer: (names, validity = validFor(90)) => issueServer(names, validity, subject, keys),
  };
}

/**
 * RSA of 1024 bits, like the certificates AWS publishes for the `signature` key: a verifier that refuses short keys
 * would refuse AWS. https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/regions-certs.html
 */
export async function createRegionSigner(region: string): Promise<RegionSigner> {
  const rsa = {
    name: "RSASSA-PKCS1-v1_5",
    modulusLength: 1024,
    publicExponent: new Uint8Array([1, 0, 1]),
    hash: "SHA-256",
  };
  const keys = await webcrypto.subtle.generateKey(rsa, true, ["sign", "verify"]);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: "C=US, ST=Washington State, L=Seattle, O=Connector Lab",
    keys,
    signingAlgorithm: rsa,
    serialNumber: serialNumber(),
    ...validFor(365),
  });
  const privateKey = KeyObject.from(keys.privateKey);
  return {
    region,
    certificatePem: pem(certificate),
    sign: (document) => sign("sha256", Buffer.from(document), privateKey).toString("base64"),
  };
}

/** Writes `<region>.pem` files as an operator saves them from AWS's published list; answers the paths. */
export async function writeRegionCertificates(
  folder: string,
  signers: readonly RegionSigner[],
): Promise<string[]> {
  const paths = signers.map((signer) => join(folder, `${signer.region}.pem`));
  await Promise.all(
    signers.map((signer) => writeFile(join(folder, `${signer.region}.pem`), signer.certificatePem)),
  );
  return paths;
}

/** Writes `ca.pem`, `server.pem` and `server.key` (0600); answers the paths. */
export async function writeServerFiles(
  folder: string,
  authority: CertificateAuthority,
  server: ServerCertificate,
) {
  const paths = {
    ca: join(folder, "ca.pem"),
    certificate: join(folder, "server.pem"),
    privateKey: join(folder, "server.key"),
  };
  await writeFile(paths.ca, authority.certificatePem);
  await writeFile(paths.certificate, server.certificatePem);
  await writeFile(paths.privateKey, server.privateKeyPem, { mode: 0o600 });
  return paths;
}

async function issueServer(
  names: readonly string[],
  validity: Validity,
  issuer: string,
  issuerKeys: webcrypto.CryptoKeyPair,
): Promise<ServerCertificate> {
  const keys = await webcrypto.subtle.generateKey(ecdsa, true, ["sign", "verify"]);
  const certificate = await x509.X509CertificateGenerator.create({
    subject: `CN=${names[0] ?? "server"}`,
    issuer,
    publicKey: keys.publicKey,
    signingKey: issuerKeys.privateKey,
    signingAlgorithm: ecdsa,
    serialNumber: serialNumber(),
    ...validity,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension(names.map(alternativeName)),
      await x509.AuthorityKeyIdentifierExtension.create(issuerKeys.publicKey),
    ],
  });
  return {
    certificatePem: pem(certificate),
    privateKeyPem: KeyObject.from(keys.privateKey).export({ type: "pkcs8", format: "pem" }).toString(),
  };
}

function alternativeName(name: string): x509.JsonGeneralName {
  return { type: /^[\d.]+$|:/.test(name) ? "ip" : "dns", value: name };
}

/** From an hour ago: the clocks of a lab do not agree to the second. */
function validFor(days: number): Validity {
  const hourMs = 3_600_000;
  return { notBefore: new Date(Date.now() - hourMs), notAfter: new Date(Date.now() + days * 24 * hourMs) };
}

/** Positive, as RFC 5280 wants it. */
function serialNumber(): string {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes.toString("hex");
}

function pem(certificate: x509.X509Certificate): string {
  return `${certificate.toString("pem")}\n`;
}
