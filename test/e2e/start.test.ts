import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { until } from "../support/until.ts";

/** `npm start` as a person runs it: scripts, processes, signals. Run folders go to a folder of the test's own. */
vi.setConfig({ testTimeout: 90_000 });
const root = join(import.meta.dirname, "..", "..");
let temporary: string;
const started = new Set<ChildProcess>();

beforeAll(() => {
  temporary = mkdtempSync(join(tmpdir(), "e2e-"));
});

afterEach(() => {
  for (const child of started) child.kill("SIGKILL");
  started.clear();
});

afterAll(() => rmSync(temporary, { recursive: true, force: true }));

/** npm keeps its own compile cache in the temporary folder too. */
function runFolders(): string[] {
  return readdirSync(temporary).filter((name) => name !== "node-compile-cache");
}

test("npm start -- --once --loopback: why there are no packets, the table, exit 0, nothing left", async () => {
  const lab = start("npm", "start", "--silent", "--", "--once", "--loopback");
  expect(await lab.ended, lab.output()).toEqual({ code: 0, signal: null });
  const table = lab.output().split("\n\n")[1]?.split("\n").slice(0, 4).join("\n") ?? "";
  expect(masked(table)).toMatchInlineSnapshot(`
    "Name                  Provider Instance Id  Status  Management IP  Active Agents  User Group Associations  Version  Up Since
    aws-us-vir-con-00001  i-0e306ccdf94a1b201   Active  172.18.139.4               N  Pool1                    X.Y.Z    TIME
    aws-us-vir-con-00002  i-0e306ccdf94a1b202   Active  172.18.139.5               N  Pool1 +1                 X.Y.Z    TIME
    aws-us-vir-con-00003  i-0e306ccdf94a1b203   Active  172.18.139.6               N  Pool1                    X.Y.Z    TIME"
  `);
  expect(lab.output()).toContain("no packets are forwarded, this is the control path only: --loopback\n");
  expect(lab.output()).toContain("devices attached 10\n");
  expect(runFolders()).toEqual([]);
});

test("live: lines to copy work, AWS can be played, Ctrl-C ends everything", async () => {
  const lab = await startSmall();
  const copied = [...lab.output().matchAll(/^ {2}.{13} ((?:npm|curl|imds|on) .*)$/gm)].map(
    ([, text]) => text ?? "",
  );
  const environment = /^ {2}then +(\. \S+)/m.exec(lab.output())?.[1] ?? "";
  const shown = await Promise.all(copied.map((text) => shell(`${environment} && ${text}`)));
  expect(shown.map(({ code, output }) => `${code} ${/\w.*/.exec(output)?.[0]}`)).toEqual([
    expect.stringMatching(/^0 aws-us-vir-con-00001 {2}Active {2}up \d+s$/),
    "0 Prefix                        Controller  IMDS  Kernel  Verdict",
    expect.stringMatching(/^[01] ok {4}parameters .* is complete$/),
    "0 HELP connector_instance_info Always 1.",
    "0 ami-id",
    "0 Name                  Provider Instance Id  Status  Management IP  Active Agents  User Group Associations  Version  Up Since",
    expect.stringMatching(/^0 device {6}[\w-]{36}$/),
    "0 npm run -s lab -- COMMAND",
  ]);
  // Who asks and does not wait for the answer ends nothing.
  const folder = /run folder (\S+)/.exec(lab.output())?.[1] ?? "";
  const hasty = connect(join(folder, "lab.sock")).on("error", () => {});
  hasty.write('{"play":"list"}\n', () => hasty.destroy());
  const listed = await run("lab/control.ts", "list");
  const pids = [...listed.output.matchAll(/pid (\d+)/g)].map(([, pid]) => Number(pid));
  expect(pids).toHaveLength(3);
  expect((await run("lab/control.ts", "kill", "agent-1")).output).toContain("started again");
  await until("told of the end", () =>
    lab.output().includes("agent-1 was ended by SIGKILL, starting it again"),
  );
  expect((await run("lab/control.ts", "stop", "nobody")).code).toBe(1);
  const elsewhere = await run("lab/control.ts", "list", "--lab", temporary);
  expect(elsewhere).toMatchObject({ code: 1, output: expect.stringContaining("No answer of the lab") });
  // A terminal signals the whole group: the starting process and the lab.
  process.kill(-(lab.child.pid ?? 0), "SIGINT");
  expect(await lab.ended, lab.output()).toEqual({ code: 0, signal: null });
  await until("no process", () => pids.every((pid) => !isAlive(pid)));
  expect(runFolders()).toEqual([]);
});

test("killed: its processes end with it, and the next start takes away what it left", async () => {
  const lab = await startSmall();
  const listed = await run("lab/control.ts", "list");
  const pids = [...listed.output.matchAll(/pid (\d+)/g)].map(([, pid]) => Number(pid));
  process.kill(childOf(lab.child.pid ?? 0), "SIGKILL");
  await lab.ended;
  await until("no process", () => pids.every((pid) => !isAlive(pid)));
  const [left] = runFolders();
  expect(left).toMatch(/^connector-lab-/);
  const next = await startSmall();
  expect(existsSync(join(temporary, left ?? ""))).toBe(false);
  // The one who started it is killed: the lab notices, and ends.
  const pid = childOf(next.child.pid ?? 0);
  next.child.kill("SIGKILL");
  await until("no process", () => !isAlive(pid));
  expect(runFolders()).toEqual([]);
  // And so when npm is, of which only a shell is left.
  const last = await startSmall("npm", "start", "--silent", "--");
  last.child.kill("SIGKILL");
  await until("no run folder", () => runFolders().length === 0);
});

async function startSmall(...command: string[]) {
  const [program = process.execPath, ...args] = command;
  const script = command.length === 0 ? [join(root, "scripts", "run.mjs"), "lab/main.ts"] : args;
  const lab = start(program, ...script, "--loopback", "--instances", "1", "--devices", "1");
  await until("the list", () => /Name .*Provider Instance Id/.test(lab.output()), 60_000);
  return lab;
}

async function shell(command: string) {
  const { ended, output } = start("sh", "-c", command);
  return { ...(await ended), output: output() };
}

async function run(script: string, ...args: string[]) {
  const { ended, output } = start(process.execPath, join(root, script), ...args);
  return { ...(await ended), output: output() };
}

function start(command: string, ...args: string[]) {
  const env = { ...process.env, TMPDIR: temporary };
  const child = spawn(command, args, { cwd: root, env, detached: true, stdio: ["ignore", "pipe", "pipe"] });
  started.add(child);
  let text = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk: Buffer) => {
      text += chunk.toString();
    });
  }
  const { promise: ended, resolve } = Promise.withResolvers<{ code: number | null; signal: string | null }>();
  child.once("exit", (code, signal) => resolve({ code, signal }));
  return { child, output: () => text, ended };
}

/** The lab, which the starting process runs as its only child (proc_pid_task_children). */
function childOf(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ")[0]);
}

function isAlive(pid: number): boolean {
  try {
    return !readFileSync(`/proc/${pid}/stat`, "utf8").includes(") Z ");
  } catch {
    return false;
  }
}

function masked(table: string): string {
  return table
    .replace(/\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}Z/g, "TIME")
    .replace(/\d+(?= {2}Pool1)/g, "N")
    .replace(/\d+\.\d+\.\d+(?= +TIME)/g, "X.Y.Z");
}
