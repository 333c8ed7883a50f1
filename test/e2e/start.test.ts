import { existsSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { until } from "../support/until.ts";
import { childOf, copied, isAlive, NpmStart, type Started, showsList } from "./npm-start.ts";

/** `npm start` where no packets flow: what it shows, what can be done to it, and how it ends. */
vi.setConfig({ testTimeout: 90_000 });
const small = ["--loopback", "--instances", "1", "--devices", "1"];
let npm: NpmStart;

beforeAll(() => {
  npm = new NpmStart();
});
afterEach(() => npm.end());
afterAll(() => npm[Symbol.dispose]());

test("npm start -- --once --loopback: why there are no packets, the table, exit 0, nothing left", async () => {
  const { output, ...ended } = await npm.whole("npm", "start", "--silent", "--", "--once", "--loopback");
  expect(ended, output).toEqual({ code: 0, signal: null });
  const table = output.split("\n\n")[1]?.split("\n").slice(0, 4).join("\n") ?? "";
  expect(masked(table)).toMatchInlineSnapshot(`
    "Name                  Provider Instance Id  Status  Management IP  Active Agents  User Group Associations  Version  Up Since
    aws-us-vir-con-00001  i-0e306ccdf94a1b201   Active  172.18.139.4               N  Pool1                    X.Y.Z    TIME
    aws-us-vir-con-00002  i-0e306ccdf94a1b202   Active  172.18.139.5               N  Pool1 +1                 X.Y.Z    TIME
    aws-us-vir-con-00003  i-0e306ccdf94a1b203   Active  172.18.139.6               N  Pool1                    X.Y.Z    TIME"
  `);
  expect(output).toContain("no packets are forwarded, this is the control path only: --loopback\n");
  expect(output).toContain("devices attached 10\n");
  expect(npm.runFolders()).toEqual([]);
});

test("live: lines to copy work, AWS can be played, Ctrl-C ends everything", async () => {
  const lab = await npm.startLive(...small);
  const { lines, environment } = copied(lab);
  const shown = await Promise.all(lines.map((text) => npm.shell(`${environment} && ${text}`)));
  expect(shown.map(({ code, output }) => `${code} ${/\w.*/.exec(output)?.[0]}`)).toEqual([
    expect.stringMatching(/^0 aws-us-vir-con-00001 {2}Active {2}up (\d+m|(\d+m )?\d+s)$/),
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
  const listed = await npm.play("list");
  const pids = [...listed.output.matchAll(/pid (\d+)/g)].map(([, pid]) => Number(pid));
  expect(pids).toHaveLength(3);
  expect((await npm.play("kill", "agent-1")).output).toContain("started again");
  await until("told of the end", () =>
    lab.output().includes("agent-1 was ended by SIGKILL, starting it again"),
  );
  expect((await npm.play("stop", "nobody")).code).toBe(1);
  const elsewhere = await npm.play("list", "--lab", npm.temporary);
  expect(elsewhere).toMatchObject({ code: 1, output: expect.stringContaining("No answer of the lab") });
  // A terminal signals the whole group: the starting process and the lab.
  process.kill(-(lab.child.pid ?? 0), "SIGINT");
  expect(await lab.ended, lab.output()).toEqual({ code: 0, signal: null });
  await until("no process", () => pids.every((pid) => !isAlive(pid)));
  expect(npm.runFolders()).toEqual([]);
});

test("killed: its processes end with it, and the next start takes away what it left", async () => {
  const lab = await npm.startLive(...small);
  const listed = await npm.play("list");
  const pids = [...listed.output.matchAll(/pid (\d+)/g)].map(([, pid]) => Number(pid));
  process.kill(childOf(lab), "SIGKILL");
  await lab.ended;
  await until("no process", () => pids.every((pid) => !isAlive(pid)));
  const [left] = npm.runFolders();
  expect(left).toMatch(/^connector-lab-/);
  const next = await npm.startLive(...small);
  expect(existsSync(join(npm.temporary, left ?? ""))).toBe(false);
  // The one who started it is killed: the lab notices, and ends.
  const pid = childOf(next);
  next.child.kill("SIGKILL");
  await until("no process", () => !isAlive(pid), 30_000);
  expect(npm.runFolders()).toEqual([]);
  // And so when npm is, of which only a shell is left.
  const last: Started = npm.start("npm", "start", "--silent", "--", ...small);
  await showsList(last);
  last.child.kill("SIGKILL");
  await until("no run folder", () => npm.runFolders().length === 0, 30_000);
});

function masked(table: string): string {
  return table
    .replace(/\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}Z/g, "TIME")
    .replace(/\d+(?= {2}Pool1)/g, "N")
    .replace(/\d+\.\d+\.\d+(?= +TIME)/g, "X.Y.Z");
}
