import { spawn } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";
import { startSocketServer } from "../../agent/adapters/socket-server.ts";
import { temporaryFolder } from "../support/folder.ts";
import { until } from "../support/until.ts";
import { active, connector, fakeAgent, online, silent } from "./cli-fixture.ts";

const main = join(import.meta.dirname, "../../agent/cli/main.ts");

function start(path: string, status = active) {
  const { views, actions } = fakeAgent(status);
  return startSocketServer({ path, views, actions, log: silent });
}

test("in a pipe looks are appended, and a restart of the agent is lived through", async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "agent.sock");
  const stop = new AbortController();
  let seen = "";
  const running = connector(["status", "--watch", "0.2", "--socket", path], {
    screen: undefined,
    stop: stop.signal,
    onPrint: (text) => {
      seen += text;
    },
  });
  await until("it says that there is no agent", () => seen.includes("There is no agent socket"));
  const first = await start(path);
  await until("it shows the agent", () => seen.includes("aws-us-vir-con-00008  Active"));
  await first[Symbol.asyncDispose]();
  await until("it says when the agent last answered", () => /no agent socket[\s\S]*Last answer/.test(seen));
  await using _second = await start(path, online);
  await until("it shows the agent again", () => seen.includes("aws-us-vir-con-00008  Online"));
  stop.abort();
  expect(await running).toMatchObject({ code: 0, err: "" });
  expect(seen).toMatch(/^--- \d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ$/m);
  expect(seen).not.toContain("\u001b");
});

test("with -o json each look is one line", async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "agent.sock");
  await using _server = await start(path);
  const stop = new AbortController();
  let seen = "";
  const running = connector(["pools", "--watch", "0.2", "-o", "json", "--socket", path], {
    screen: undefined,
    stop: stop.signal,
    onPrint: (text) => {
      seen += text;
    },
  });
  await until("three looks", () => seen.split("\n").length > 3);
  stop.abort();
  expect((await running).code).toBe(0);
  for (const line of seen.trimEnd().split("\n")) expect(JSON.parse(line)).toMatchObject([{ name: "Pool1" }]);
});

test("on a terminal the look is drawn in place and cut to the window", async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "agent.sock");
  await using _server = await start(path, online);
  const stop = new AbortController();
  const looks: string[] = [];
  const running = connector(["status", "--watch", "0.2", "--socket", path], {
    screen: { columns: 80, rows: 12 },
    stop: stop.signal,
    onPrint: (text) => looks.push(text),
  });
  await until("two looks", () => looks.length >= 2);
  stop.abort();
  await running;
  const [look = ""] = looks;
  expect(look.startsWith("\u001b[H")).toBe(true);
  expect(look.endsWith("\u001b[J")).toBe(true);
  expect(look.split("\n").length - 1).toBe(11);
  expect(look).toContain("more lines than this window has");
});

test("the real command under a pseudo-terminal ends with 0 on Ctrl-C", async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "agent.sock");
  await using _server = await start(path);
  const command = `stty cols 80 rows 30; exec ${process.execPath} ${main} status --watch 0.2 --socket ${path}`;
  const child = spawn("script", ["-qefc", command, "/dev/null"], { stdio: ["pipe", "pipe", "inherit"] });
  let seen = "";
  child.stdout.on("data", (chunk: Buffer) => {
    seen += chunk;
  });
  await until("two looks", () => seen.split("Ctrl-C ends").length > 2);
  child.stdin.write("\u0003");
  await until("it ended", () => child.exitCode !== null);
  expect(child.exitCode).toBe(0);
  expect(seen).toContain("aws-us-vir-con-00008");
});
