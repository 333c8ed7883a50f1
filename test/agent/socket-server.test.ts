import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, statSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { expect, test } from "vitest";
import { startSocketServer } from "../../agent/adapters/socket-server.ts";
import { temporaryFolder } from "../support/folder.ts";
import { keepingLog } from "../support/quiet-log.ts";
import { until } from "../support/until.ts";
import { active, fakeAgent, silent } from "./cli-fixture.ts";

function start(path: string, agent = fakeAgent()) {
  return startSocketServer({ path, views: agent.views, actions: agent.actions, log: silent });
}

async function ask(
  path: string,
  method: string,
  url: string,
  body = "",
): Promise<{ status: number; json: unknown; headers: Record<string, unknown> }> {
  const { promise, resolve, reject } = Promise.withResolvers<Awaited<ReturnType<typeof ask>>>();
  request({ socketPath: path, path: url, method, agent: false }, async (response) => {
    let text = "";
    for await (const chunk of response) text += chunk;
    resolve({ status: response.statusCode ?? 0, json: JSON.parse(text), headers: response.headers });
  })
    .on("error", reject)
    .end(body);
  return await promise;
}

test("serves each view, for owner and group only", async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "agent.sock");
  const { views } = fakeAgent();
  await using _server = await start(path);
  expect(statSync(path).mode & 0o777).toBe(0o660);
  expect((await ask(path, "GET", "/v1/status")).json).toEqual(views.status());
  expect((await ask(path, "GET", "/v1/pools")).json).toEqual(views.pools());
  expect((await ask(path, "GET", "/v1/leases")).json).toEqual(views.leases());
  expect((await ask(path, "GET", "/v1/sessions")).json).toEqual(views.sessions());
  const { json, headers } = await ask(path, "GET", "/v1/prefixes?ignored=1");
  expect(json).toEqual(views.prefixes());
  expect(headers).toMatchObject({ server: "connector-agent", "content-type": "application/json" });
});

test("takes the actions and answers with the status after them", async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "agent.sock");
  const agent = fakeAgent();
  await using _server = await start(path, agent);
  expect((await ask(path, "POST", "/v1/drain")).json).toMatchObject({ status: "Draining", drain: ["cli"] });
  expect((await ask(path, "POST", "/v1/resume")).json).toMatchObject({ status: "Active", drain: [] });
  expect((await ask(path, "POST", "/v1/verify", "{}")).json).toMatchObject({ status: "Active" });
  expect(agent.asked).toEqual(["drain", "resume", "verify"]);
});

test.each([
  ["GET", "/", 404, "admin.not-found"],
  ["GET", "/v2/status", 404, "admin.not-found"],
  ["GET", "/v1/bundle", 404, "admin.not-found"],
  ["POST", "/v1/status", 405, "admin.invalid"],
  ["POST", "/v1/drain?deadline=0", 400, "admin.invalid"],
  ["POST", "/v1/leave?deadline=1e3", 400, "admin.invalid"],
  ["POST", "/v1/drain?forever", 400, "admin.invalid"],
  ["GET", "/v1/drain", 405, "admin.invalid"],
  ["DELETE", "/v1/leases", 405, "admin.invalid"],
])("%s %s is refused with %i and a code", async (method, url, status, code) => {
  using folder = temporaryFolder();
  const path = join(folder.path, "agent.sock");
  const agent = fakeAgent();
  await using _server = await start(path, agent);
  const answer = await ask(path, method, url);
  expect(answer).toMatchObject({
    status,
    json: { code, text: expect.any(String), hint: expect.any(String) },
  });
  if (status === 405) expect(answer.headers.allow).toBe(url === "/v1/drain" ? "POST" : "GET");
  expect(agent.asked).toEqual([]);
});

test("a body beyond the limit is refused with 413, and nothing is done", async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "agent.sock");
  const agent = fakeAgent();
  await using _server = await start(path, agent);
  expect(await ask(path, "POST", "/v1/drain", "x".repeat(4096))).toMatchObject({
    status: 413,
    json: { code: "protocol.too-large" },
  });
  expect(agent.asked).toEqual([]);
});

test("a view that throws is a 500 with a code, and the server lives on", async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "agent.sock");
  const agent = fakeAgent();
  const views = {
    ...agent.views,
    pools: () => {
      throw new Error("broken");
    },
  };
  await using _server = await startSocketServer({ path, views, actions: agent.actions, log: silent });
  expect(await ask(path, "GET", "/v1/pools")).toMatchObject({ status: 500, json: { code: "internal" } });
  expect(await ask(path, "GET", "/v1/status")).toMatchObject({ status: 200 });
});

test("text that is not HTTP ends the connection, and the server lives on", async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "agent.sock");
  await using _server = await start(path);
  const socket = connect(path);
  socket.write("\u0000\u0001 hello?\n\n");
  await once(socket.resume(), "close");
  expect(await ask(path, "GET", "/v1/status")).toMatchObject({ status: 200 });
});

test("clients that hold connections cannot take more than their share", async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "agent.sock");
  await using _server = await start(path);
  let cut = 0;
  const sockets = Array.from({ length: 48 }, () => connect(path).on("error", () => {}));
  for (const socket of sockets) socket.resume().on("close", () => cut++);
  await until("the connections beyond the limit are cut", () => cut === 16);
  for (const socket of sockets.slice(0, 40)) socket.destroy();
  await until("others are served again", async () => {
    return await ask(path, "GET", "/v1/status").then(
      ({ status }) => status === 200,
      () => false,
    );
  });
  for (const socket of sockets) socket.destroy();
});

test("the socket file of a killed agent is replaced", async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "agent.sock");
  const code = `require("net").createServer().listen(${JSON.stringify(path)}, () => console.log("up"))`;
  const child = spawn(process.execPath, ["-e", code], { stdio: ["ignore", "pipe", "inherit"] });
  await once(child.stdout, "data");
  child.kill("SIGKILL");
  await once(child, "exit");
  expect(existsSync(path)).toBe(true);
  await using _server = await start(path);
  expect(await ask(path, "GET", "/v1/status")).toMatchObject({ status: 200 });
});

test("a live agent's socket is not touched", async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "agent.sock");
  await using _server = await start(path);
  await expect(start(path, fakeAgent({ ...active, name: "second" }))).rejects.toMatchObject({
    code: "socket.in-use",
    facts: { path },
  });
  expect((await ask(path, "GET", "/v1/status")).json).toMatchObject({ name: "aws-us-vir-con-00008" });
});

test("a socket that somebody else listens on is not touched either, whatever they speak", async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "agent.sock");
  const other = createServer().listen(path);
  await once(other, "listening");
  await expect(start(path)).rejects.toMatchObject({ code: "socket.in-use" });
  other.close();
});

test("other files in the way stay, and the reason is told", async () => {
  using folder = temporaryFolder();
  const file = join(folder.path, "file");
  writeFileSync(file, "precious");
  await expect(start(file)).rejects.toMatchObject({ code: "socket.unusable" });
  expect(statSync(file).size).toBe(8);
  await expect(start(join(folder.path, "no", "folder"))).rejects.toMatchObject({ code: "socket.unusable" });
  await expect(start(join(folder.path, "x".repeat(120)))).rejects.toMatchObject({ code: "socket.unusable" });
});

test("the socket is gone after closing, with clients still connected", async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "agent.sock");
  const server = await start(path);
  const idle = connect(path);
  await once(idle, "connect");
  await server[Symbol.asyncDispose]();
  expect(existsSync(path)).toBe(false);
  idle.destroy();
});

test("a client that goes away in the middle of its request is no fault of the agent", async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "agent.sock");
  const { log, lines } = keepingLog();
  const agent = fakeAgent();
  await using _server = await startSocketServer({ path, views: agent.views, actions: agent.actions, log });
  const client = connect(path);
  client.write("POST /v1/drain HTTP/1.1\r\nHost: agent\r\nContent-Length: 2\r\n\r\n{");
  await once(client, "connect");
  client.destroy();
  await until("others are served", async () => (await ask(path, "GET", "/v1/status")).status === 200);
  // Whoever came later was answered: the one before is done with.
  await ask(path, "GET", "/v1/pools");
  expect(agent.asked).toEqual([]);
  expect(lines.filter(({ level }) => level === "error")).toEqual([]);
});
