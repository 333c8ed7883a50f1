import { execFile, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, writeFileSync } from "node:fs";
import { createServer as createHttpServer, type RequestListener } from "node:http";
import { createServer } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { startSocketServer } from "../../agent/adapters/socket-server.ts";
import { AgentClient } from "../../agent/cli/client.ts";
import { temporaryFolder } from "../support/folder.ts";
import { within } from "../support/within.ts";
import { connector, fakeAgent, silent } from "./cli-fixture.ts";

const project = join(import.meta.dirname, "../..");
const main = join(project, "agent/cli/main.ts");

async function listening(path: string, server = createServer()): Promise<Disposable> {
  server.listen(path);
  await once(server, "listening");
  return { [Symbol.dispose]: () => server.close() };
}

test("no socket: cannot tell, start the agent", async () => {
  using folder = temporaryFolder();
  const ran = await connector(["status", "--socket", join(folder.path, "agent.sock")]);
  expect(ran.code).toBe(2);
  expect(ran.out).toBe("");
  expect(ran.err).toContain("There is no agent socket");
  expect(ran.err).toContain("systemctl start connector");
});

test("a socket nobody listens on: cannot tell, the agent is not running", async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "agent.sock");
  writeFileSync(path, "");
  const ran = await connector(["leases", "--socket", path]);
  expect(ran).toMatchObject({ code: 2, err: expect.stringContaining("is not running") });
});

test("an agent that hangs: cannot tell after 3 s", async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "agent.sock");
  using _server = await listening(
    path,
    createServer((socket) => socket.on("error", () => {})),
  );
  const ran = await within(5_000, connector(["status", "--socket", path]));
  expect(ran).toMatchObject({ code: 2, err: expect.stringMatching(/does not answer[\s\S]*within 3 s/) });
});

test("who was not let run for longer than an answer may take has it all the same", async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "agent.sock");
  const { views, actions } = fakeAgent();
  await using _server = await startSocketServer({ path, views, actions, log: silent });
  const reading = new AgentClient(path).read("status", 200);
  setImmediate(() => {
    for (const until = performance.now() + 400; performance.now() < until; );
  });
  expect(await reading).toMatchObject({ ok: true });
});

test.each<[string, RequestListener]>([
  ["another program", (_request, response) => response.end("<html>")],
  ["no JSON", (_request, response) => response.writeHead(200, { server: "connector-agent" }).end("<html>")],
  [
    "another shape",
    (_request, response) => response.writeHead(200, { server: "connector-agent" }).end("[1]"),
  ],
  ["an error", (_request, response) => response.writeHead(404, { server: "connector-agent" }).end("{}")],
])("an answer that is %s: cannot tell, check the socket", async (_name, answer) => {
  using folder = temporaryFolder();
  const path = join(folder.path, "agent.sock");
  using _server = await listening(path, createHttpServer(answer));
  const ran = await connector(["status", "--socket", path]);
  expect(ran).toMatchObject({ code: 2, err: expect.stringContaining("not an agent of this version") });
});

test("bytes that are not HTTP: cannot tell, check the socket", async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "agent.sock");
  using _server = await listening(
    path,
    createServer((socket) => socket.on("error", () => {}).end("SSH-2.0-x\r\n")),
  );
  const ran = await connector(["status", "--socket", path]);
  expect(ran).toMatchObject({ code: 2, err: expect.stringContaining("not an agent of this version") });
});

test("with -o json the failure is JSON with its code", async () => {
  using folder = temporaryFolder();
  const ran = await connector(["status", "-o", "json", "--socket", join(folder.path, "agent.sock")]);
  expect(ran.code).toBe(2);
  expect(JSON.parse(ran.out)).toMatchObject({ error: { code: "socket.missing", hint: expect.any(String) } });
});

test.skipIf(process.getuid?.() !== 0)(
  "another user without the group: cannot tell, join the group",
  async () => {
    using folder = temporaryFolder();
    const path = join(folder.path, "agent.sock");
    const { views, actions } = fakeAgent();
    await using _server = await startSocketServer({ path, views, actions, log: silent });
    chmodSync(folder.path, 0o755);
    const code = `
    process.setgroups([]); process.setgid(65534); process.setuid(65534);
    const { runCli } = await import(${JSON.stringify(join(project, "agent/cli/program.ts"))});
    process.exitCode = await runCli(["status", "--socket", ${JSON.stringify(path)}], {
      env: {}, now: Date.now, screen: () => undefined, stop: new AbortController().signal,
      print: (text) => process.stdout.write(text), complain: (text) => process.stderr.write(text),
    });`;
    const child = spawnSync(process.execPath, ["--input-type=module", "-e", code], { encoding: "utf8" });
    expect(child.stderr).toContain("Add yourself to group connector");
    expect(child.status).toBe(2);
  },
);

test.each([
  [[], "name a command"],
  [["statsu"], "Did you mean `connector status`?"],
  [["status", "--soket", "x"], "soket"],
  [["status", "--watch", "never"], "seconds"],
  [["leases", "--state", "free"], "state"],
  [["status", "-o", "yaml"], "yaml"],
  [["drain", "--deadline", "soon"], "whole seconds"],
  [["leave", "--deadline", "0"], "whole seconds"],
])("%j is wrong usage: 64, and says what is wrong", async (args, text) => {
  const ran = await connector(args);
  expect(ran).toMatchObject({ code: 64, out: "", err: expect.stringContaining(text) });
  expect(ran.err.split("\n").length).toBeLessThan(8);
});

test.each([
  "status",
  "pools",
  "leases",
  "sessions",
  "prefixes",
  "check",
  "drain",
  "resume",
  "leave",
  "support-bundle",
])("%s --help shows an example within 80 columns", async (command) => {
  const { out, code } = await connector([command, "--help"]);
  expect(code).toBe(0);
  expect(out).toContain("Examples:");
  expect(out).toContain(`connector ${command}`);
  for (const line of out.split("\n")) expect(line.length, line).toBeLessThanOrEqual(80);
});

test("--version and --help on the real command", () => {
  const run = (...args: string[]) => spawnSync(process.execPath, [main, ...args], { encoding: "utf8" });
  expect(run("--version").stdout).toMatch(/^connector \d+\.\d+\.\d+\n$/);
  expect(run("--help")).toMatchObject({ status: 0, stdout: expect.stringContaining("support-bundle") });
  expect(run("nonsense")).toMatchObject({ status: 64 });
});

test("completion scripts for bash and zsh, and the names of pools from the agent", async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "agent.sock");
  const { views, actions } = fakeAgent();
  await using _server = await startSocketServer({ path, views, actions, log: silent });
  const env = { CONNECTOR_SOCKET: path, SHELL: "/bin/bash" };
  const run = async (...args: string[]) =>
    (await promisify(execFile)(process.execPath, [main, ...args], { env })).stdout;
  expect(await run("completion")).toContain("complete -o bashdefault");
  expect(await run("completion", "zsh")).toContain("compdef");
  const complete = (...words: string[]) => run("--get-yargs-completions", "connector", ...words);
  expect((await complete("st")).split("\n")).toContain("status");
  expect((await complete("leases", "--sta")).split("\n")).toContain("--state");
  expect((await complete("leases", "--state", "")).split("\n")).toContain("cooling");
  expect(await complete("leases", "--pool", "")).toBe("Pool1\n");
});
