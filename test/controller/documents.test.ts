import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { documentVerdict } from "../../controller/adapters/documents.ts";
import {
  createAuthority,
  createRegionSigner,
  type RegionSigner,
  writeRegionCertificates,
} from "../../lab/certificates.ts";
import { temporaryFolder } from "../support/folder.ts";

const folder = temporaryFolder();
const told: string[] = [];
const log = pino({ base: null }, { write: (line: string) => told.push(JSON.parse(line).msg) });
let signer: RegionSigner;

const claims = {
  accountId: "123456789012",
  region: "us-east-1",
  availabilityZone: "us-east-1a",
  instanceId: "i-0e306ccdf94ab1234",
  privateIp: "10.0.0.4",
};

const verdict = (document: string, signature = signer.sign(document)) =>
  documentVerdict(folder.path, document, signature, log);

beforeAll(async () => {
  signer = await createRegionSigner("us-east-1");
  await writeRegionCertificates(folder.path, [signer]);
});

afterAll(() => folder[Symbol.dispose]());

describe("an identity document", () => {
  test("is genuine byte for byte, and not in any other spelling of the same values", () => {
    const document = JSON.stringify(claims);
    expect(verdict(document)).toEqual({ is: "genuine", claims });
    for (const other of [`${document} `, JSON.stringify(claims, undefined, 1), `\ufeff${document}`]) {
      expect(verdict(other, signer.sign(document)).is).not.toBe("genuine");
    }
  });

  test("with a field twice is worth what its signed bytes say, whichever field is read", () => {
    const twice = `{"instanceId":"i-00000000000000001",${JSON.stringify(claims).slice(1)}`;
    expect(verdict(twice, signer.sign(JSON.stringify(claims)))).toEqual({
      is: "forged",
      region: "us-east-1",
    });
  });

  test.each([
    ["leaves the folder", "../us-east-1"],
    ["leaves the folder by another separator", "..\\us-east-1"],
    ["ends a path early", "us-east-1\u0000"],
    ["has a second line", "us-east-1\n"],
    ["is longer than a file name may be", `us-${"e".repeat(300)}-1`],
    ["is as long as the document allows", `us${"-east".repeat(1_000)}-1`],
  ])("whose region %s is malformed, and no file is looked for", (_what, region) => {
    expect(verdict(JSON.stringify({ ...claims, region }))).toMatchObject({ is: "malformed" });
  });

  test("of a region whose file cannot be read is untrusted, and the log says why", () => {
    mkdirSync(join(folder.path, "eu-west-1.pem"));
    expect(verdict(JSON.stringify({ ...claims, region: "eu-west-1" }))).toEqual({
      is: "untrusted",
      region: "eu-west-1",
    });
    expect(told).toContain("certificate file cannot be read");
  });

  test("is forged when the certificate has a key of a kind that AWS does not sign with", async () => {
    const { certificatePem } = await (await createAuthority()).issueServer(["aws"]);
    writeFileSync(join(folder.path, "eu-west-2.pem"), certificatePem);
    const document = JSON.stringify({ ...claims, region: "eu-west-2" });
    expect(verdict(document)).toEqual({ is: "forged", region: "eu-west-2" });
    for (const signature of ["", "!", "A".repeat(2_048)]) {
      expect(verdict(document, signature).is).toBe("forged");
    }
  });

  test("finds the good certificate behind one that is none", async () => {
    const file = join(folder.path, "us-west-2.pem");
    const west = await createRegionSigner("us-west-2");
    await writeRegionCertificates(folder.path, [west]);
    const broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    writeFileSync(file, broken + readFileSync(file, "utf8"));
    const document = JSON.stringify({ ...claims, region: "us-west-2" });
    expect(verdict(document, west.sign(document)).is).toBe("genuine");
    expect(told).toContain("certificate is none");
  });
});
