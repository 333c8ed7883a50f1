import { verify, X509Certificate } from "node:crypto";
import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, createServer } from "node:tls";
import { expect, onTestFinished, test } from "vitest";
import {
  createAuthority,
  createRegionSigner,
  loopbackNames,
  writeRegionCertificates,
  writeServerFiles,
} from "../../lab/certificates.ts";
import { instanceNumbered } from "../../lab/imds/instance.ts";
import { reader, signer, start } from "./imds-fixture.ts";

test("the document is AWS's, byte for byte", async () => {
  await using imds = await start();
  const get = await reader(imds);
  expect((await get("/latest/dynamic/instance-identity/document")).body).toBe(`{
  "accountId" : "123456789012",
  "architecture" : "x86_64",
  "availabilityZone" : "us-east-1a",
  "billingProducts" : null,
  "devpayProductCodes" : null,
  "marketplaceProductCodes" : null,
  "imageId" : "ami-0c0ffee0c0ffee001",
  "instanceId" : "i-0e306ccdf94a1b201",
  "instanceType" : "c5.xlarge",
  "kernelId" : null,
  "pendingTime" : "2024-10-28T10:48:06Z",
  "privateIp" : "172.18.139.4",
  "ramdiskId" : null,
  "region" : "us-east-1",
  "version" : "2017-09-30"
}`);
});

test("the signature verifies over those bytes with the region's certificate, and over no others", async () => {
  await using imds = await start();
  const get = await reader(imds);
  const document = (await get("/latest/dynamic/instance-identity/document")).body;
  const signature = (await get("/latest/dynamic/instance-identity/signature")).body;
  expect(signature.split("\n").map((line) => line.length)).toEqual([76, 76, 20]);
  const { publicKey } = new X509Certificate(signer.certificatePem);
  const holds = (text: string) =>
    verify("sha256", Buffer.from(text), publicKey, Buffer.from(signature, "base64"));
  expect(holds(document)).toBe(true);
  expect(holds(`${document}\n`)).toBe(false);
  expect(holds(document.replace("172.18.139.4", "172.18.139.5"))).toBe(false);
});

test("the PKCS#7 signatures are not made here: neither listed nor found", async () => {
  await using imds = await start();
  const get = await reader(imds);
  for (const key of ["rsa2048", "pkcs7"])
    expect((await get(`/latest/dynamic/instance-identity/${key}`)).status).toBe(404);
});

test("a key of one region signs for no instance in another", async () => {
  const instance = instanceNumbered(1, { region: "eu-west-1", availabilityZone: "eu-west-1a" });
  await expect(start({ instance })).rejects.toThrow(RangeError);
});

test("region certificates are saved as an operator would save AWS's", async () => {
  const folder = await temporaryFolder();
  const frankfurt = await createRegionSigner("eu-central-1");
  const paths = await writeRegionCertificates(folder, [signer, frankfurt]);
  expect(paths).toEqual([join(folder, "us-east-1.pem"), join(folder, "eu-central-1.pem")]);
  const saved = new X509Certificate(await readFile(join(folder, "eu-central-1.pem")));
  expect(saved.verify(saved.publicKey)).toBe(true);
  expect(saved.publicKey.asymmetricKeyDetails?.modulusLength).toBe(1024);
  expect(saved.publicKey.equals(new X509Certificate(signer.certificatePem).publicKey)).toBe(false);
});

test.each([...loopbackNames])(
  "the server certificate holds for %s, under the lab's authority only",
  async (name) => {
    const folder = await temporaryFolder();
    const authority = await createAuthority();
    const files = await writeServerFiles(folder, authority, await authority.issueServer(loopbackNames));
    expect((await stat(files.privateKey)).mode & 0o777).toBe(0o600);
    const [ca, cert, key] = await Promise.all(
      [files.ca, files.certificate, files.privateKey].map((path) => readFile(path)),
    );
    const server = createServer({ cert, key }, (socket) => socket.end());
    server.on("tlsClientError", () => undefined);
    onTestFinished(() => void server.close());
    await new Promise<void>((resolve) => server.listen(0, name === "::1" ? "::1" : "127.0.0.1", resolve));
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("no port");
    const handshake = (options: { ca?: Buffer }) =>
      new Promise<boolean>((resolve) => {
        const socket = connect({
          host: name === "::1" ? "::1" : "127.0.0.1",
          port: address.port,
          servername: name === "localhost" ? name : "",
          ...options,
        });
        socket.on("secureConnect", () => resolve(socket.authorized));
        socket.on("error", () => resolve(false));
      });
    expect(await handshake(ca === undefined ? {} : { ca })).toBe(true);
    expect(await handshake({ ca: Buffer.from((await createAuthority()).certificatePem) })).toBe(false);
    expect(await handshake({})).toBe(false);
  },
);

async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "connector-lab-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  return folder;
}
