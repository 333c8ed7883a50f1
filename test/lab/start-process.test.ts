import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { Process } from "../../lab/process.ts";
import { keepRunFolder, makeRunFolder, runningLabs } from "../../lab/run-folder.ts";
import { startOf } from "../../protocol/node/processes.ts";
import { temporaryFolder } from "../support/folder.ts";
import { until } from "../support/until.ts";

const idle = "setInterval(() => {}, 1000); console.log('up')";

function processOf(folder: string, script: string, onExit = (_: unknown, _willRestart: boolean) => {}) {
  const file = join(folder, "script.mjs");
  writeFileSync(file, script);
  return new Process({ name: "it", args: [file], logFile: join(folder, "it.log"), onExit });
}

test("a process that is killed is started again, one that is stopped is not", async () => {
  using folder = temporaryFolder();
  const ends: boolean[] = [];
  const process = processOf(folder.path, idle, (_, willRestart) => ends.push(willRestart));
  process.start();
  await until("up", () => process.log().includes("up"));
  process.signal("SIGKILL");
  await until("up again", () => process.log().match(/up/g)?.length === 2);
  expect(ends).toEqual([true]);
  expect(await process.stop()).toEqual({ code: null, signal: "SIGTERM" });
  expect(process.pid).toBeUndefined();
  expect(process.starts).toBe(2);
});

test("one that was killed and is started by hand meanwhile is not started twice", async () => {
  using folder = temporaryFolder();
  using beside = temporaryFolder();
  const [killed, later] = [processOf(folder.path, idle), processOf(beside.path, idle)];
  for (const process of [killed, later]) process.start();
  await until("both are up", () => [killed, later].every((process) => process.log().includes("up")));
  killed.signal("SIGKILL");
  await killed.ended;
  killed.start();
  later.signal("SIGKILL");
  // Its turn to be started again comes after that of the one before.
  await until("the later one is started again", () => later.starts === 2);
  expect(killed.starts).toBe(2);
  for (const process of [killed, later]) await process.stop();
});

test("one that ends over its configuration stays down", async () => {
  using folder = temporaryFolder();
  const ends: boolean[] = [];
  const process = processOf(folder.path, "process.exit(78)", (_, willRestart) => ends.push(willRestart));
  process.start();
  await until("its end", () => ends.length === 1);
  expect(ends).toEqual([false]);
  expect(process.starts).toBe(1);
});

test("one that will not stop is killed", async () => {
  using folder = temporaryFolder();
  const process = processOf(folder.path, `process.on('SIGTERM', () => {}); ${idle}`);
  process.start();
  await until("up", () => process.log().includes("up"));
  expect(await process.stop(50)).toEqual({ code: null, signal: "SIGKILL" });
});

test("children die with a parent that is killed", async () => {
  using folder = temporaryFolder();
  const child = join(folder.path, "child.mjs");
  writeFileSync(child, "process.stdout.write('pid ' + process.pid); setInterval(() => {}, 1000);");
  const logFile = join(folder.path, "child.log");
  const parent = join(folder.path, "parent.mjs");
  const module = join(import.meta.dirname, "..", "..", "lab", "process.ts");
  const options = JSON.stringify({ name: "child", args: [child], logFile });
  writeFileSync(
    parent,
    `import { Process } from ${JSON.stringify(module)}; new Process(${options}).start();`,
  );
  const running = spawn(process.execPath, [parent], { stdio: "ignore" });
  const pid = await until("the child", () => existsSync(logFile) && /pid (\d+)/.exec(log())?.[1]);
  running.kill("SIGKILL");
  await until("its end", () => startOf(Number(pid)) === undefined);

  function log() {
    return readFileSync(logFile, "utf8");
  }
});

test("a run folder belongs to its lab; the next start takes away what dead labs left, not what was kept", () => {
  using parent = temporaryFolder();
  const own = makeRunFolder(parent.path);
  const [dead, kept, starting] = ["dead", "kept", "starting"].map((name) => {
    const folder = join(parent.path, `connector-lab-${name}`);
    mkdirSync(folder);
    return folder;
  });
  // Process 1 lives, but did not start at tick 7: its number was used again.
  writeFileSync(join(dead ?? "", "lab.pid"), "1 7");
  // As a lab that starts beside this one finds it: the mark is made, and not written yet.
  writeFileSync(join(starting ?? "", "lab.pid"), "");
  expect(runningLabs(parent.path)).toEqual([own]);
  const second = makeRunFolder(parent.path);
  keepRunFolder(second);
  const third = makeRunFolder(parent.path);
  const left = readdirSync(parent.path).map((name) => join(parent.path, name));
  expect(left.sort()).toEqual([own, kept, starting, second, third].sort());
});

test("a temporary directory whose sockets nobody could open is refused", () => {
  using parent = temporaryFolder();
  expect(() => makeRunFolder(join(parent.path, "x".repeat(64)))).toThrow("set TMPDIR to a shorter one");
  expect(() => makeRunFolder(join(parent.path, "nowhere"))).toThrow("ENOENT");
});
