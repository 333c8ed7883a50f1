import { execFile } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import { type AddressInfo, createServer, type Server } from "node:net";
import { join } from "node:path";
import { expect, test } from "vitest";
import { IdentityFile } from "../../agent/adapters/identity-file.ts";
import { judgeClock } from "../../agent/cli/check/clock.ts";
import { type ControllerSeen, judgeController } from "../../agent/cli/check/controller.ts";
import type { Line } from "../../agent/cli/check/line.ts";
import { judgeEndpoint } from "../../agent/cli/check/metadata.ts";
import { judgeOtp, judgeStateFolder } from "../../agent/cli/check/state.ts";
import { createAuthority, loopbackNames } from "../../lab/certificates.ts";
import { instanceNumbered } from "../../lab/imds/instance.ts";
import { start as startImds } from "../lab/imds-fixture.ts";
import { temporaryFolder } from "../support/folder.ts";
import { within } from "../support/within.ts";
import { connector, noDataPath, silent } from "./cli-fixture.ts";

const main = join(import.meta.dirname, "../../agent/cli/main.ts");
const authority = await createAuthority();
const instance = instanceNumbered(1);
const [eni] = instance.interfaces;
const gateway = eni.subnetIpv4CidrBlock.replace(/\.0\/\d+$/, ".1");
const prefix = eni.subnetIpv4CidrBlock.replace(/\.0\/\d+$/, ".176/28");

/** An instance's host before the agent was ever started: all well, unless a test spoils something. */
async function host(
  options: { date?: string; parameters?: Record<string, string>; otpMode?: number; userData?: string } = {},
) {
  const folder = temporaryFolder();
  const at = (name: string) => join(folder.path, name);
  const certificate = await authority.issueServer([...loopbackNames]);
  const server = createHttpsServer(
    { cert: certificate.certificatePem, key: certificate.privateKeyPem },
    (_, response) => {
      if (options.date !== undefined) response.setHeader("date", options.date);
      response.writeHead(404).end();
    },
  ).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { userData } = options;
  const imds = await startImds({ instance: userData === undefined ? instance : { ...instance, userData } });
  imds.assignPrefix(prefix);
  writeFileSync(at("ca.pem"), authority.certificatePem);
  writeFileSync(at("otp"), "OTP-4711-secret", { mode: options.otpMode ?? 0o600 });
  mkdirSync(at("state"), { mode: 0o750 });
  const parameters = {
    controller: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    ip: eni.localIpv4s[0],
    gateway,
    otpFile: at("otp"),
    caFile: at("ca.pem"),
    ...options.parameters,
  };
  writeFileSync(
    at("enroll.yaml"),
    Object.entries(parameters)
      .map(([name, value]) => `${name}: ${value}\n`)
      .join(""),
  );
  const env = {
    ...noDataPath,
    NO_COLOR: "1",
    CONNECTOR_INTERFACE: "imds",
    CONNECTOR_CLOUD_INIT_RESULT: at("result.json"),
    AWS_EC2_METADATA_SERVICE_ENDPOINT: imds.url,
  };
  return {
    folder: folder.path,
    stateDir: at("state"),
    imds,
    server: server as Server,
    async check(...args: string[]) {
      const files = ["--parameters", at("enroll.yaml"), "--state-dir", at("state")];
      return await connector(["check", ...files, ...args], { env });
    },
    async line(name: string): Promise<Line | undefined> {
      const { out } = await this.check("-o", "json");
      const { lines } = JSON.parse(out) as { lines: Line[] };
      return lines.find((line) => line.name === name);
    },
    async [Symbol.asyncDispose]() {
      server.close();
      await imds[Symbol.asyncDispose]();
      folder[Symbol.dispose]();
    },
  };
}

test("a host where all is well, line by line", async () => {
  await using here = await host();
  const { out, err } = await here.check();
  expect(err).toBe("");
  const known = out
    .replaceAll(here.folder, "/tmp/host")
    .replace(/\S+ \wB free/, "N GB free")
    .replace(/127\.0\.0\.1:\d+ answers in \d+ ms/, "127.0.0.1:PORT answers in N ms")
    // Whether this machine's clock is kept right is not the test's to say.
    .replace(/^\w+ +clock sync .*\n( {8,}.*\n)*/m, "")
    .replace(/\n\n.*\n$/, "\n");
  expect(known).toMatchSnapshot();
  for (const line of out.replaceAll(here.folder, "/tmp").split("\n"))
    expect(line.length, line).toBeLessThanOrEqual(80);
});

test("all problems of the parameters are told, and what needs them is skipped", async () => {
  await using here = await host({ parameters: { ip: "10.0.1.17/24", gateway: "nonsense", controler: "x" } });
  const { out, code } = await here.check();
  expect(code).toBe(1);
  expect(out.match(/^FAIL {2}parameters/gm)).toHaveLength(3);
  expect(out).toMatch(/^skip {2}controller /m);
});

test("a wrong address and a wrong gateway are named with the right ones", async () => {
  await using here = await host({ parameters: { ip: "10.9.9.9", gateway: "10.9.9.1" } });
  expect(await here.line("address")).toMatchObject({
    result: "FAIL",
    code: "parameters.ip-mismatch",
    text: expect.stringContaining(eni.localIpv4s[0]),
  });
  expect(await here.line("gateway")).toMatchObject({
    result: "FAIL",
    code: "parameters.gateway-mismatch",
    text: expect.stringContaining(gateway),
  });
});

test("what devices dial is compared with the public address that EC2 gave the instance", () => {
  const dialled = (publicAddress: string, publicIpv4?: string) => {
    const { result, text } = judgeEndpoint(
      { ip: "10.0.0.4", publicAddress, wireguardPort: 51_820 },
      publicIpv4,
    );
    return `${result} ${text}`;
  };
  expect(dialled("10.0.0.4")).toBe("ok devices dial 10.0.0.4, UDP 51820");
  expect(dialled("10.0.0.4", "198.51.100.4")).toMatch(/^ok .* this would be 198\.51\.100\.4$/);
  expect(dialled("198.51.100.4", "198.51.100.4")).toBe("ok devices dial 198.51.100.4, UDP 51820");
  expect(dialled("198.51.100.4")).toMatch(/^ok /);
  expect(dialled("2001:db8::4", "198.51.100.4")).toMatch(/^ok /);
  // As after a stop and a start.
  expect(dialled("198.51.100.4", "198.51.100.9")).toMatch(/^warn .* public address is 198\.51\.100\.9$/);
});

test("a metadata service that hangs fails within seconds", async () => {
  await using here = await host();
  here.imds.fault({ kind: "blackHole" });
  const line = await within(5_000, here.line("metadata"));
  expect(line).toMatchObject({ result: "FAIL", code: "imds.unreachable" });
});

test("a controller that hangs fails within seconds, and the steps after it are skipped", async () => {
  const silentServer = createServer((socket) => socket.on("error", () => {})).listen(0, "127.0.0.1");
  await once(silentServer, "listening");
  const { port } = silentServer.address() as AddressInfo;
  await using here = await host({ parameters: { controller: `https://127.0.0.1:${port}` } });
  const { out, code } = await within(5_000, here.check());
  expect(code).toBe(1);
  expect(out).toMatch(/^ok {4}controller TCP/m);
  expect(out).toMatch(/^FAIL {2}controller TLS/m);
  expect(out).toMatch(/^skip {2}controller HTTP/m);
  silentServer.close();
});

test("a controller whose certificate is of another CA is not trusted", async () => {
  await using here = await host();
  writeFileSync(join(here.folder, "ca.pem"), (await createAuthority()).certificatePem);
  expect(await here.line("controller TLS")).toMatchObject({ result: "FAIL", code: "link.tls" });
});

test("a controller that is not there, and a name that does not resolve", async () => {
  await using here = await host();
  here.server.close();
  expect(await here.line("controller TCP")).toMatchObject({
    result: "FAIL",
    code: "link.unreachable",
    text: expect.stringContaining("ECONNREFUSED"),
  });
  await using lost = await host({ parameters: { controller: "https://no-such-host.invalid" } });
  expect(await lost.line("controller name")).toMatchObject({ code: "link.name" });
  expect(await lost.line("controller TCP")).toMatchObject({ result: "skip" });
});

test("a clock that is off by an hour fails as enrolment would", async () => {
  await using here = await host({ date: new Date(Date.now() + 3_600_000).toUTCString() });
  expect(await here.line("clock")).toMatchObject({
    result: "FAIL",
    code: "enrol.clock-skew",
    text: expect.stringMatching(/59m \d+s behind/),
  });
});

test("a clock at 1970 is named where the certificate is not valid yet by it", () => {
  const seen: ControllerSeen = {
    url: "https://c.example",
    name: { is: "done", addresses: ["192.0.2.1"] },
    tcp: { is: "done", ms: 3 },
    tls: { is: "failed", code: "CERT_NOT_YET_VALID", error: "certificate is not yet valid" },
  };
  expect(judgeController(seen, 90_000)[2]).toMatchObject({
    result: "FAIL",
    code: "link.certificate-early",
    text: expect.stringContaining("1970-01-01T00:01"),
    action: expect.stringContaining("The clock is behind"),
  });
});

test("cloud-init that took no data, took it from EC2, had errors, or has not ended", async () => {
  await using here = await host();
  const result = (datasource: string, errors: string[] = []) =>
    writeFileSync(join(here.folder, "result.json"), JSON.stringify({ v1: { datasource, errors } }));
  expect(await here.line("cloud-init")).toBeUndefined();
  result("DataSourceEc2Local");
  expect(await here.line("cloud-init")).toMatchObject({ result: "ok" });
  result("DataSourceNone");
  // An instance without user-data has nothing to miss.
  expect(await here.line("cloud-init")).toMatchObject({ result: "ok" });
  result("DataSourceEc2Local", ["('scripts_user', RuntimeError('Runparts: 1 failures'))"]);
  expect(await here.line("cloud-init")).toMatchObject({
    result: "warn",
    text: expect.stringContaining("an error: ('scripts_user'"),
    action: expect.stringContaining("cloud-init status --long"),
  });
  // What cloud-init 25.1 says of user-data that is not YAML, in two stages; the line that it shows is not shown again.
  const broken = `Failed loading yaml blob. Invalid format at line 9 column 3: "while scanning\n  in "x", line 9, column 3:\n  otp_0"`;
  const stage = { recoverable_errors: { WARNING: ["empty cloud config", broken], DEPRECATED: ["old"] } };
  const status = { v1: { stage: null, datasource: "DataSourceEc2Local", "init-local": stage, init: stage } };
  result("DataSourceEc2Local");
  writeFileSync(join(here.folder, "status.json"), JSON.stringify(status));
  expect(await here.line("cloud-init")).toMatchObject({
    result: "warn",
    text: "cloud-init had 2 errors: Failed loading yaml blob. Invalid format at line 9 column 3",
  });
  await using other = await host({ userData: "#cloud-config\n" });
  writeFileSync(join(other.folder, "result.json"), '{"v1":{"datasource":"DataSourceNone","errors":[]}}');
  expect(await other.line("cloud-init")).toMatchObject({
    result: "warn",
    code: "parameters.no-datasource",
    action: expect.stringContaining("datasource_list: [Ec2]"),
  });
});

test("the identity: none, made, copied, damaged, open to others", async () => {
  await using here = await host();
  expect(await here.line("identity")).toMatchObject({
    result: "ok",
    text: expect.stringContaining("none yet"),
  });
  const file = new IdentityFile(here.stateDir, silent);
  file.make(instance.instanceId);
  expect(await here.line("identity")).toMatchObject({
    result: "ok",
    text: expect.stringContaining("not enrolled"),
  });
  file.saveEnrolment({
    instance: "01900000-1111-4222-8333-444455556666",
    name: "aws-us-vir-con-00008",
    connector: "Virginia",
  });
  expect(await here.line("identity")).toMatchObject({
    result: "ok",
    text: "enrolled as aws-us-vir-con-00008 in Virginia",
  });
  expect(await here.line("OTP")).toMatchObject({
    result: "warn",
    text: expect.stringContaining("still there"),
  });
  here.imds.fault({ kind: "disabled" });
  expect(await here.line("identity")).toMatchObject({
    result: "ok",
    text: expect.stringMatching(/ on i-\w+; that this is it needs the metadata service$/),
  });
  here.imds.clearFault();
  chmodSync(file.path, 0o644);
  expect(await here.line("identity")).toMatchObject({
    result: "warn",
    action: expect.stringContaining("chmod 600"),
  });
  file.make("i-00000000000000000");
  expect(await here.line("identity")).toMatchObject({ code: "identity.cloned" });
  writeFileSync(file.path, "{", { mode: 0o600 });
  expect(await here.line("identity")).toMatchObject({ result: "FAIL", code: "identity.unreadable" });
});

test("the OTP is never shown", async () => {
  await using here = await host({ otpMode: 0o644 });
  const { out } = await here.check();
  expect(out).toContain("has mode 0644");
  expect(out).not.toContain("4711-secret");
});

test("judgements of what a test cannot easily make", () => {
  const there = { is: "there", mode: 0o750, writeError: undefined, freeBytes: 10 ** 10 } as const;
  expect(judgeStateFolder("/s", { ...there, freeBytes: 1000 })).toMatchObject({
    result: "FAIL",
    code: "store.full",
  });
  expect(judgeStateFolder("/s", { ...there, freeBytes: 10 ** 8 })).toMatchObject({ result: "warn" });
  expect(judgeStateFolder("/s", { ...there, writeError: "EROFS" })).toMatchObject({
    code: "store.read-only",
  });
  expect(judgeStateFolder("/s", { ...there, writeError: "EACCES" })).toMatchObject({ result: "warn" });
  expect(judgeStateFolder("/s", { is: "none" })).toMatchObject({ result: "warn" });
  expect(judgeOtp("/o", { is: "none" }, false)).toMatchObject({ result: "FAIL", code: "otp.missing" });
  expect(judgeOtp("/o", { is: "none" }, true)).toMatchObject({ result: "ok" });
  expect(judgeOtp("/o", { is: "hidden", error: "not a file" }, false)).toMatchObject({
    result: "FAIL",
    code: "otp.unreadable",
  });
  expect(judgeOtp("/o", { is: "there", mode: 0o600, bytes: 0 }, false)).toMatchObject({ result: "FAIL" });
  expect(judgeOtp(undefined, undefined, false)).toMatchObject({ result: "skip" });
  const done = { is: "done", status: 404, dateMs: undefined, atMs: 0 } as const;
  expect(judgeClock({ synchronised: false, by: "chrony" }, done).map(({ result }) => result)).toEqual([
    "skip",
    "warn",
  ]);
  const nowMs = Date.UTC(2026, 10, 22);
  const seen: ControllerSeen = {
    url: "https://c.example",
    name: { is: "done", addresses: ["192.0.2.1"] },
    tcp: { is: "done", ms: 3 },
    tls: { is: "done", protocol: "TLSv1.3", validToMs: nowMs + 3 * 86_400_000 },
    http: { ...done, status: 502 },
  };
  expect(judgeController(seen, nowMs).map(({ result }) => result)).toEqual(["ok", "ok", "warn", "warn"]);
});

test("the command ends even where somebody keeps the metadata connection open", async () => {
  using folder = temporaryFolder();
  const proxy = createHttpServer((_, response) => {
    response.writeHead(403, { "content-type": "text/plain" }).end("x".repeat(10_000));
  }).listen(0, "127.0.0.1");
  // What keeps it open for good is this end.
  proxy.keepAliveTimeout = 0;
  await once(proxy, "listening");
  const env = {
    ...noDataPath,
    AWS_EC2_METADATA_SERVICE_ENDPOINT: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
  };
  const args = [main, "check", "--parameters", join(folder.path, "none"), "--state-dir", folder.path];
  const ran = execFile(process.execPath, args, { env, timeout: 60_000 });
  const [code] = (await once(ran, "exit")) as [number | null];
  expect(code).toBe(1);
  proxy.close();
  proxy.closeAllConnections();
});
