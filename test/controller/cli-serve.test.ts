import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { type AddressInfo, connect, createServer } from "node:net";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { connect as tlsConnect } from "node:tls";
import { describe, expect, onTestFinished, test } from "vitest";
import { readServeConfig, type ServeFlags } from "../../controller/cli/serve-config.ts";
import { createAuthority, loopbackNames } from "../../lab/certificates.ts";
import { temporaryFolder } from "../support/folder.ts";
import { until } from "../support/until.ts";
import { send } from "./http.ts";

const script = join(import.meta.dirname, "..", "..", "controller", "cli", "main.ts");

/** A folder with a certificate, its key, a key of another, and a folder for AWS's certificates. */
async function prepare() {
  const folder = temporaryFolder();
  const authority = await createAuthority();
  const [server, other] = await Promise.all([
    authority.issueServer(loopbackNames),
    authority.issueServer(loopbackNames),
  ]);
  const file = (name: string, text: string) => {
    writeFileSync(join(folder.path, name), text, { mode: 0o600 });
    return join(folder.path, name);
  };
  const aws = join(folder.path, "aws");
  mkdirSync(aws);
  return {
    folder,
    aws,
    file,
    authority,
    cert: file("server.pem", server.certificatePem),
    key: file("server.key", server.privateKeyPem),
    otherCert: file("other.pem", other.certificatePem),
    otherKey: file("other.key", other.privateKeyPem),
    [Symbol.dispose]: () => folder[Symbol.dispose](),
  };
}

function problems(flags: ServeFlags): string[] {
  const outcome = readServeConfig(flags);
  return outcome.ok ? [] : outcome.problems.map(({ field, problem }) => `${field} ${problem}`);
}

test("options win over the file, and what neither names has a default", async () => {
  using files = await prepare();
  const config = files.file(
    "controller.yaml",
    `listen: "[::]:9443"\ntlsCert: ${files.cert}\ntlsKey: ${files.key}\nawsCertificates: ${files.aws}\nlogLevel: warn\nsettleMs: 500\nagentHeartbeatMs: 700\nholdDownMs: 60000\n`,
  );
  const stateDir = join(files.folder.path, "state");
  expect(readServeConfig({ config, stateDir, logLevel: "debug", settleMs: 0 })).toMatchObject({
    ok: true,
    value: {
      host: "::",
      port: 9443,
      stateDir,
      awsCertificates: files.aws,
      logLevel: "debug",
      settings: {
        heartbeatMs: { agent: 700, device: 20_000 },
        settleMs: 0,
        holdDownMs: 60_000,
        linkGraceMs: 3_000,
      },
      tls: {
        cert: expect.stringContaining("BEGIN CERTIFICATE"),
        key: expect.stringContaining("PRIVATE KEY"),
      },
    },
  });
});

test("everything that is wrong is told at once", async () => {
  using files = await prepare();
  const config = files.file("controller.yaml", "listen: 8443\nlogLevl: info\nstateDir: ''\n");
  expect(problems({ config })).toEqual([
    "listen is a number",
    "stateDir is too small or too short",
    "logLevl is not a field",
  ]);
  expect(
    problems({
      listen: "0.0.0.0:70000",
      tlsKey: "/nowhere.key",
      stateDir: "/dev/null/x",
      awsCertificates: "/nowhere",
    }),
  ).toEqual([
    "listen has no such port",
    "tlsKey cannot be read (ENOENT)",
    "tlsCert is missing",
    "stateDir cannot be written (ENOTDIR)",
    "awsCertificates cannot be read (ENOENT)",
  ]);
  expect(problems({ agentHeartbeatMs: 50, deviceHeartbeatMs: 90_000, settleMs: Number.NaN })).toEqual([
    "agentHeartbeatMs is too small or too short",
    "deviceHeartbeatMs is too large or too long",
    "settleMs is no number",
  ]);
  const failover = files.file("failover.yaml", "linkGraceMs: 100\nwitnessesMin: 1\ndrainDeadlineMs: soon\n");
  expect(problems({ config: failover })).toEqual([
    "linkGraceMs is too small or too short",
    "witnessesMin is too small or too short",
    "drainDeadlineMs is a text",
  ]);
  expect(problems({ listen: "127.0.0.1:0", awsCertificates: files.aws, stateDir: "/proc/x" })).toEqual([
    "stateDir cannot be written (ENOENT)",
  ]);
  const senseless = files.file("senseless.yaml", "linkGraceMs: 50000\nholdDownMs: 1000\npathGraceMs: 2000\n");
  const here = {
    listen: "127.0.0.1:0",
    awsCertificates: files.aws,
    stateDir: join(files.folder.path, "state"),
  };
  expect(problems({ ...here, config: senseless }).map((text) => text.split(":")[0])).toEqual([
    "returnGraceMs is less than linkGraceMs, 50000",
    "holdDownMs is less than pathGraceMs, 2000",
  ]);
});

test.each<[string, (files: Awaited<ReturnType<typeof prepare>>) => ServeFlags, string[]]>([
  [
    "the key of another certificate",
    (f) => ({ tlsCert: f.cert, tlsKey: f.otherKey }),
    ["tlsKey is not the key of tlsCert"],
  ],
  [
    "a key in place of a certificate",
    (f) => ({ tlsCert: f.key, tlsKey: f.key }),
    ["tlsCert is no certificate"],
  ],
  [
    "a certificate in place of a key",
    (f) => ({ tlsCert: f.cert, tlsKey: f.cert }),
    ["tlsKey is no private key"],
  ],
  [
    "no certificate off loopback",
    () => ({ listen: "0.0.0.0:8443" }),
    ["tlsCert is missing, and 0.0.0.0 is not loopback"],
  ],
  ["no certificate on loopback", () => ({ listen: "127.0.0.1:8443" }), []],
  ["a host without a port", () => ({ listen: "127.0.0.1" }), ["listen has the wrong form"]],
  [
    "a file that is a list",
    (f) => ({ listen: "127.0.0.1:1", config: f.file("c.yaml", "- a\n") }),
    ["config holds no fields"],
  ],
  ["an empty file", (f) => ({ listen: "127.0.0.1:1", config: f.file("c.yaml", "") }), []],
])("judges %s", async (_, flags, expected) => {
  using files = await prepare();
  expect(problems({ stateDir: files.aws, awsCertificates: files.aws, ...flags(files) })).toEqual(expected);
});

test("serves over TLS, takes a renewed certificate on SIGHUP, and ends with 0 on SIGTERM", async () => {
  using files = await prepare();
  const {
    child,
    ended,
    port: listening,
    log,
  } = serve(files, ...["--tls-cert", files.cert, "--tls-key", files.key]);
  const port = await listening();
  const http = { url: `https://127.0.0.1:${port}`, ca: files.authority.certificatePem, token: "none" };
  expect((await send(http, "GET", "/readyz", { token: null })).status).toBe(200);
  const renewed = await files.authority.issueServer(loopbackNames);
  files.file("server.pem", renewed.certificatePem);
  files.file("server.key", renewed.privateKeyPem);
  child.kill("SIGHUP");
  await until("the certificate to be replaced", () => log().includes("certificate replaced"));
  expect((await send(http, "GET", "/livez", { token: null })).status).toBe(200);
  child.kill("SIGTERM");
  expect(await ended).toBe(0);
});

/** Starts a controller; `log` is what it has said so far. */
function serve(files: Awaited<ReturnType<typeof prepare>>, ...more: string[]) {
  const stateDir = join(files.folder.path, "state");
  const args = ["--listen", "127.0.0.1:0", "--state-dir", stateDir, "--aws-certificates", files.aws, ...more];
  const child = spawn(process.execPath, [script, "serve", ...args], { stdio: ["ignore", "pipe", "inherit"] });
  onTestFinished(() => void child.kill("SIGKILL"));
  let log = "";
  child.stdout.on("data", (chunk: Buffer) => {
    log += chunk.toString();
  });
  const ended = new Promise<unknown>((resolve) =>
    child.once("close", (code, signal) => resolve(signal ?? code)),
  );
  const port = () => until("it to listen", () => Number(/"port":(\d+)/.exec(log)?.[1]));
  return { child, ended, port, log: () => log };
}

test("who has connected and says nothing does not hold up its end", async () => {
  using files = await prepare();
  const controller = serve(files, "--tls-cert", files.cert, "--tls-key", files.key);
  const port = await controller.port();
  const silent = connect(port, "127.0.0.1");
  const shaken = tlsConnect({ port, host: "127.0.0.1", ca: files.authority.certificatePem });
  const halfway = tlsConnect({ port, host: "127.0.0.1", ca: files.authority.certificatePem });
  for (const socket of [silent, shaken, halfway]) {
    socket.on("error", () => undefined);
    onTestFinished(() => void socket.destroy());
  }
  await Promise.all([once(silent, "connect"), once(shaken, "secureConnect"), once(halfway, "secureConnect")]);
  await new Promise((resolve) => halfway.write("GET /livez HTTP/1.1\r\n", resolve));
  controller.child.kill("SIGTERM");
  expect(await controller.ended).toBe(0);
});

describe("while it waits for its database", () => {
  const waiting = async (files: Awaited<ReturnType<typeof prepare>>) => {
    const stateDir = join(files.folder.path, "state");
    mkdirSync(stateDir);
    const other = new DatabaseSync(join(stateDir, "controller.db"));
    onTestFinished(() => other.close());
    other.exec("BEGIN EXCLUSIVE");
    const controller = serve(files);
    // The first that it does: from then on it waits.
    await until("its lock", () => existsSync(join(stateDir, "controller.lock")));
    return { ...controller, goOn: () => other.exec("ROLLBACK") };
  };

  test("a SIGHUP does not end it", async () => {
    using files = await prepare();
    const controller = await waiting(files);
    controller.child.kill("SIGHUP");
    controller.goOn();
    await controller.port();
    controller.child.kill("SIGTERM");
    expect(await controller.ended).toBe(0);
  });

  test("a SIGTERM is not lost", async () => {
    using files = await prepare();
    const controller = await waiting(files);
    controller.child.kill("SIGTERM");
    controller.goOn();
    expect(await controller.ended).toBe(0);
  });
});

test("a certificate that is half written is not served, and the one of before is", async () => {
  using files = await prepare();
  const controller = serve(files, "--tls-cert", files.cert, "--tls-key", files.key);
  const http = {
    url: `https://127.0.0.1:${await controller.port()}`,
    ca: files.authority.certificatePem,
    token: "none",
  };
  const renewed = await files.authority.issueServer(loopbackNames);
  const chain = renewed.certificatePem + files.authority.certificatePem;
  files.file("server.key", renewed.privateKeyPem);
  files.file("server.pem", chain.slice(0, -40));
  expect(
    problems({ stateDir: files.aws, awsCertificates: files.aws, tlsCert: files.cert, tlsKey: files.key }),
  ).toEqual(["tlsCert cannot be served (ERR_OSSL_PEM_BAD_END_LINE)"]);
  controller.child.kill("SIGHUP");
  expect((await send(http, "GET", "/livez", { token: null })).status).toBe(200);
  files.file("server.pem", chain);
  controller.child.kill("SIGHUP");
  await until("the certificate to be replaced", () => controller.log().includes("certificate replaced"));
  expect((await send(http, "GET", "/livez", { token: null })).status).toBe(200);
});

test("a port that is taken ends it with 1 and the reason, so that it is started again", async () => {
  using files = await prepare();
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const args = ["--listen", `127.0.0.1:${port}`, "--state-dir", files.aws, "--aws-certificates", files.aws];
  const child = spawn(process.execPath, [script, "serve", ...args], { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk: Buffer) => {
      output += chunk.toString();
    });
  }
  const [code] = await once(child, "close");
  server.close();
  expect([code, output]).toEqual([1, expect.stringContaining('"code":"admin.listen"')]);
  expect(output).not.toContain("    at ");
});
