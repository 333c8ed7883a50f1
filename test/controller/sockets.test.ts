import { join } from "node:path";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Controller, startController } from "../../controller/controller.ts";
import type { AdminCommand } from "../../controller/core/admin.ts";
import {
  type CertificateAuthority,
  createAuthority,
  createRegionSigner,
  type RegionSigner,
  writeRegionCertificates,
} from "../../lab/certificates.ts";
import { limits } from "../../protocol/limits.ts";
import { temporaryFolder } from "../support/folder.ts";
import { until } from "../support/until.ts";
import { connectorInput } from "./peers.ts";
import { Raw, upgrade, WireAgent } from "./wire.ts";

const folder = temporaryFolder();
let signer: RegionSigner;
let forger: RegionSigner;
let controller: Controller;

async function run(command: AdminCommand) {
  const answer = await controller.command(command, "token:test");
  if (!answer.ok) throw answer.failure;
  return answer.value;
}

async function newOtp(): Promise<string> {
  const otp = await controller.command(
    { command: "otp.create", connector: "prod", lifeMinutes: 5 },
    "token:test",
  );
  if (!otp.ok) throw otp.failure;
  return otp.value.secret;
}

beforeAll(async () => {
  [signer, forger] = await Promise.all([createRegionSigner("us-east-1"), createRegionSigner("us-east-1")]);
  await writeRegionCertificates(folder.path, [signer]);
  controller = await startController({
    host: "127.0.0.1",
    port: 0,
    stateDir: join(folder.path, "state"),
    tls: undefined,
    awsCertificates: folder.path,
    log: pino({ level: "silent" }),
    handshakes: { perSecond: 1000, burst: 1000 },
  });
  await run({ command: "group.create", group: "staff" });
  await run({ command: "connector.create", connector: connectorInput() });
});

afterAll(async () => {
  await controller[Symbol.asyncDispose]();
  folder[Symbol.dispose]();
});

describe("an agent over a real socket", () => {
  test("enrols, comes back with its key, and replaces its own older link", async () => {
    const agent = new WireAgent(signer);
    const first = new Raw(controller.url);
    first.send(agent.enrol(await first.challenge(), await newOtp()));
    await until("the state", () => first.heard.some(({ type }) => type === "state"));
    expect(first.heard.map(({ type }) => type)).toEqual(["challenge", "enrolled", "welcome", "state"]);
    const second = new Raw(controller.url);
    second.send(agent.hello(await second.challenge()));
    expect(await first.end()).toBe(4003);
    await until("the welcome", () => second.heard.some(({ type }) => type === "welcome"));
    second.socket.close();
    await until("offline", () =>
      controller.views.instances().every(({ linkUpSinceMs }) => linkUpSinceMs === null),
    );
  });

  test.each([
    [
      "a changed document",
      (agent: WireAgent) => ({ document: agent.document({ accountId: "999999999999" }) }),
      "enrol.document-forged",
    ],
    [
      "a document that somebody else signed",
      (agent: WireAgent) => ({ documentSignature: forger.sign(agent.document()) }),
      "enrol.document-forged",
    ],
    [
      "the genuine document of another instance",
      () => {
        const other = new WireAgent(signer).document();
        return { document: other, documentSignature: signer.sign(other) };
      },
      "enrol.document-foreign",
    ],
    [
      "a document of a region without a certificate",
      (agent: WireAgent) => {
        const document = agent.document({ region: "eu-west-1" });
        return { document, documentSignature: signer.sign(document) };
      },
      "enrol.document-untrusted",
    ],
    [
      "a region that is a path",
      (agent: WireAgent) => ({ document: agent.document({ region: "../us-east-1" }) }),
      "enrol.document-malformed",
    ],
    [
      "a region longer than a file name may be",
      (agent: WireAgent) => ({ document: agent.document({ region: `us-${"e".repeat(300)}-1` }) }),
      "enrol.document-malformed",
    ],
    ["no document of AWS", () => ({ document: "<html>" }), "enrol.document-malformed"],
    ["a clock that is an hour slow", () => ({ wallMs: Date.now() - 3_600_000 }), "enrol.clock-skew"],
  ] as const)("is refused with %s", async (_what, change, code) => {
    const agent = new WireAgent(signer);
    const raw = new Raw(controller.url);
    raw.send(agent.enrol(await raw.challenge(), await newOtp(), change(agent)));
    expect(await raw.end()).toBe(4000);
    expect(raw.refusal()).toBe(code);
  });

  test("is refused when it replays another agent's proof, which was for another nonce", async () => {
    const agent = new WireAgent(signer);
    const first = new Raw(controller.url);
    const message = agent.enrol(await first.challenge(), await newOtp());
    first.send(message);
    await until("the welcome", () => first.heard.some(({ type }) => type === "welcome"));
    const thief = new Raw(controller.url);
    await thief.challenge();
    thief.send(message);
    expect(await thief.end()).toBe(4000);
    expect(thief.refusal()).toBe("link.proof-wrong");
    expect(first.closed, "the owner's link is not touched").toBeUndefined();
    first.socket.close();
  });

  test("is refused when it replays a genuine document under a key of its own", async () => {
    const agent = new WireAgent(signer);
    const first = new Raw(controller.url);
    first.send(agent.enrol(await first.challenge(), await newOtp()));
    await until("the welcome", () => first.heard.some(({ type }) => type === "welcome"));
    const document = agent.document();
    const thief = new WireAgent(signer);
    const raw = new Raw(controller.url);
    const stolen = {
      document,
      documentSignature: signer.sign(document),
      ec2InstanceId: agent.instanceId,
      managementIp: agent.ip,
    };
    raw.send(thief.enrol(await raw.challenge(), await newOtp(), stolen));
    await raw.end();
    expect(raw.refusal()).toBe("enrol.document-replayed");
    first.socket.close();
  });
});

describe("a frame that breaks the rules ends the link", () => {
  test.each([
    ["not JSON", "hello?", 4001],
    ["no message", "[1,2,3]", 4001],
    ["binary", Buffer.from('{"type":"ping","id":1}'), 4001],
    ["too deep", `{"type":"ping","id":${"[".repeat(50)}${"]".repeat(50)}}`, 4001],
    ["out of order", '{"type":"ack","revision":1}', 4001],
    ["of a wrong shape", '{"type":"hello"}', 4001],
    ["longer than a stranger may send", `"${"x".repeat(limits.strangerFrameBytesMax)}"`, 1009],
    ["longer than anyone may send", `"${"x".repeat(limits.frameBytesMax)}"`, 1009],
  ] as const)("%s", async (_what, frame, code) => {
    const raw = new Raw(controller.url);
    await raw.challenge();
    raw.send(frame);
    const closed = await raw.end();
    // Whoever is cut while it still sends may see the cut before the close frame.
    expect(code === 1009 ? [1009, 1006] : [code]).toContain(closed);
  });

  test("of a stranger that drips a long frame: it is cut long before the frame is whole", async () => {
    const raw = new Raw(controller.url);
    await raw.challenge();
    const before = controller.metricsFacts().totals.refused["protocol.too-large"] ?? 0;
    for (let i = 0; i < 8 && raw.closed === undefined; i++) {
      raw.socket.send("x".repeat(16 * 1024), { fin: false });
    }
    await raw.end();
    expect(controller.metricsFacts().totals.refused["protocol.too-large"]).toBe(before + 1);
  });

  test("but one of a type from the future is counted and ignored", async () => {
    const raw = new Raw(controller.url);
    const before = controller.metricsFacts().totals.unknownMessages;
    const challenge = await raw.challenge();
    raw.send('{"type":"teleport","to":"moon"}');
    await until("the count", () => controller.metricsFacts().totals.unknownMessages === before + 1);
    raw.send(new WireAgent(signer).enrol(challenge, await newOtp()));
    await until("the welcome", () => raw.heard.some(({ type }) => type === "welcome"));
    raw.socket.close();
  });
});

describe("the link server", () => {
  test("knows one path only", async () => {
    const raw = new Raw(controller.url, "/other");
    await raw.end();
    expect(raw.heard).toEqual([]);
  });

  test("slows down an address that dials without pause, and says for how long", async () => {
    using own = temporaryFolder();
    await using small = await startController({
      host: "127.0.0.1",
      port: 0,
      stateDir: own.path,
      tls: undefined,
      awsCertificates: own.path,
      log: pino({ level: "silent" }),
      handshakes: { perSecond: 0.1, burst: 1 },
    });
    await new Raw(small.url).challenge();
    const answer = await upgrade(small.port);
    expect(answer).toMatch(/^HTTP\/1\.1 429 /);
    expect(answer).toMatch(/Retry-After: \d+/);
  });

  test("speaks TLS, and serves a renewed certificate to new links while old ones stay", async () => {
    using own = temporaryFolder();
    const [old, renewed] = [await createAuthority(), await createAuthority()];
    const issued = async (authority: CertificateAuthority) => {
      const { certificatePem: cert, privateKeyPem: key } = await authority.issueServer(["127.0.0.1"]);
      return { cert, key };
    };
    await using secure = await startController({
      host: "127.0.0.1",
      port: 0,
      stateDir: own.path,
      tls: await issued(old),
      awsCertificates: own.path,
      log: pino({ level: "silent" }),
    });
    const first = new Raw(secure.url, "/link", old.certificatePem);
    await first.challenge();
    secure.replaceCertificate(await issued(renewed));
    await new Raw(secure.url, "/link", renewed.certificatePem).challenge();
    await new Raw(secure.url, "/link", old.certificatePem).end();
    expect(first.closed).toBeUndefined();
  });

  test("refuses heartbeats that would flood it or hide the dead", async () => {
    const settings = { heartbeatMs: { agent: 10, device: 20_000 } };
    const options = {
      host: "127.0.0.1",
      port: 0,
      stateDir: folder.path,
      tls: undefined,
      awsCertificates: folder.path,
      log: pino({ level: "silent" }),
    };
    await expect(startController({ ...options, settings })).rejects.toMatchObject({ code: "admin.invalid" });
  });

  test("refuses to listen on the network without TLS", async () => {
    const options = {
      host: "0.0.0.0",
      port: 0,
      stateDir: folder.path,
      tls: undefined,
      awsCertificates: folder.path,
      log: pino({ level: "silent" }),
    };
    await expect(startController(options)).rejects.toMatchObject({ code: "admin.invalid" });
  });
});

describe("an admin token", () => {
  test("opens the API by its text alone, until it is revoked", async () => {
    const created = await controller.command({ command: "token.create", name: "ci" }, "local");
    if (!created.ok) throw created.failure;
    const { secret } = created.value;
    expect(await controller.authenticate(secret)).toEqual({ ok: true, value: "token:ci" });
    expect(await controller.authenticate(`${secret}x`)).toMatchObject({
      failure: { code: "admin.unauthorised" },
    });
    await run({ command: "token.revoke", name: "ci" });
    expect(await controller.authenticate(secret)).toMatchObject({ failure: { code: "admin.unauthorised" } });
  });
});
