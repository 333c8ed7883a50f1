import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, closeSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, expect, onTestFinished, test, vi } from "vitest";
import {
  keepTelling,
  type ServiceManager,
  serviceManager,
  type Word,
} from "../../protocol/node/service-manager.ts";
import { temporaryFolder } from "../support/folder.ts";
import { unread } from "../support/unread.ts";
import { until } from "../support/until.ts";

// What a real systemd makes of it, 252 and 257: host.test.ts.

const never = (error: unknown) => expect.fail(String(error));

test("where nobody wants to hear, there is no manager", () => {
  expect(serviceManager({}, never)).toBeUndefined();
  expect(serviceManager({ WATCHDOG_USEC: "1000000" }, never)).toBeUndefined();
});

test("the watchdog counts for the process that it watches", () => {
  const env = { NOTIFY_SOCKET: "/run/x", WATCHDOG_USEC: "20000000" };
  expect(serviceManager(env, never)?.watchdogMs).toBe(20_000);
  expect(serviceManager({ ...env, WATCHDOG_PID: "7" }, never, 7)?.watchdogMs).toBe(20_000);
  expect(serviceManager({ ...env, WATCHDOG_PID: "7" }, never, 8)?.watchdogMs).toBeUndefined();
  expect(serviceManager({ NOTIFY_SOCKET: "/run/x" }, never)?.watchdogMs).toBeUndefined();
});

test("words go into the descriptor that systemd opened, by its name", async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "said");
  // In a process of its own: descriptors are counted from 3, as systemd hands them over.
  const module = join(import.meta.dirname, "../../protocol/node/service-manager.ts");
  const program = `import { serviceManager } from ${JSON.stringify(module)};
    const manager = serviceManager({ ...process.env, LISTEN_PID: String(process.pid) }, console.error);
    await manager.tell({ say: "ready", status: "Active\\nFOO=1" });`;
  const env = { ...process.env, NOTIFY_SOCKET: "/run/x", LISTEN_FDS: "2", LISTEN_FDNAMES: "other:notify" };
  const file = openSync(path, "w");
  const args = ["--input-type=module", "--eval", program];
  const child = spawn(process.execPath, args, {
    env,
    stdio: ["ignore", "inherit", "inherit", "ignore", file],
  });
  closeSync(file);
  expect(await ended(child)).toBe(0);
  // Nobody's name starts a line of its own.
  expect(readFileSync(path, "utf8")).toBe("READY=1\nWATCHDOG=1\nSTATUS=Active\\u{a}FOO=1");
});

test("without one they go through systemd-notify", async () => {
  const { said } = notifyProgram('printf "%s|" "$@" >>"$SAID"; echo >>"$SAID"');
  const manager = serviceManager({ NOTIFY_SOCKET: "/run/x" }, never);
  await manager?.tell({ say: "ready", status: "Active" });
  await manager?.tell({ say: "stillStopping", status: "Leaves", forMs: 75_000 });
  await manager?.tell({ say: "stopping", status: "Stopped" });
  expect(said()).toEqual([
    "READY=1|WATCHDOG=1|STATUS=Active|",
    "EXTEND_TIMEOUT_USEC=75000000|STATUS=Leaves|",
    "STOPPING=1|STATUS=Stopped|",
  ]);
});

test("a manager that does not hear is complained of once, and stops nobody", async () => {
  notifyProgram("exit 1");
  const complaints: unknown[] = [];
  const manager = serviceManager({ NOTIFY_SOCKET: "/run/x" }, (error) => complaints.push(error));
  await manager?.tell({ say: "ready", status: "Active" });
  await manager?.tell({ say: "alive", status: "Active" });
  expect(complaints.map(String)).toEqual(["Error: systemd-notify ended with exit code 1"]);
});

afterEach(() => void vi.useRealTimers());

test("it is ready with its first turn, tells changes, and lives four times per watchdog", async () => {
  const { words, beats, manager } = heard({ watchdogMs: 20_000, everyMs: 1_000 });
  using _telling = keepTelling(manager, beats);
  expect(words).toEqual(["ready Online"]);
  beats.status = "Active";
  await vi.advanceTimersByTimeAsync(1_001);
  expect(words.splice(0)).toEqual(["ready Online", "alive Active"]);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(words.length).toBeGreaterThanOrEqual(12);
  expect(words.length).toBeLessThanOrEqual(16);
  expect(new Set(words)).toEqual(new Set(["alive Active"]));
});

test("when the process was not let run it looks after what has come meanwhile", async () => {
  const done: string[] = [];
  await using socket = await unread(() => done.push("a word"));
  const manager = { watchdogMs: undefined, everyMs: 20, tell: async () => {} };
  using _telling = keepTelling(manager, () => {
    done.push("a look");
    return "Online";
  });
  socket.pass(60);
  await until("the word", () => done.includes("a word"));
  expect(done.slice(0, 2)).toEqual(["a look", "a word"]);
});

test("without a watchdog only changes are told", async () => {
  const { words, beats, manager } = heard({ watchdogMs: undefined, everyMs: 5_000 });
  using _telling = keepTelling(manager, beats);
  await vi.advanceTimersByTimeAsync(600_000);
  expect(words).toEqual(["ready Online"]);
});

test("one word at a time: who does not hear gets no second one meanwhile", async () => {
  const { words, beats, manager } = heard({ watchdogMs: 4_000, everyMs: 1_000 });
  const hanging = Promise.withResolvers<void>();
  using _telling = keepTelling(
    { ...manager, tell: (word) => manager.tell(word).then(() => hanging.promise) },
    beats,
  );
  await vi.advanceTimersByTimeAsync(30_000);
  expect(words).toEqual(["ready Online"]);
  hanging.resolve();
  await vi.advanceTimersByTimeAsync(2_000);
  expect(words.length).toBeGreaterThan(1);
});

test("what throws in the work is no sign of life", async () => {
  const { words, manager } = heard({ watchdogMs: 4_000, everyMs: 1_000 });
  const broken = () => {
    throw new Error("broken");
  };
  expect(() => keepTelling(manager, broken)).toThrow("broken");
  expect(words).toEqual([]);
});

function heard(bounds: Pick<ServiceManager, "watchdogMs" | "everyMs">) {
  vi.useFakeTimers();
  const words: string[] = [];
  const tell = async ({ say, status }: Word) => void words.push(`${say} ${status}`);
  const beats = Object.assign(() => beats.status, { status: "Online" });
  return { words, beats, manager: { ...bounds, tell } };
}

/** A systemd-notify of the test's own, first on the path. */
function notifyProgram(script: string) {
  const folder = temporaryFolder();
  onTestFinished(() => folder[Symbol.dispose]());
  const program = join(folder.path, "systemd-notify");
  const file = join(folder.path, "said");
  writeFileSync(program, `#!/bin/sh\n${script}\n`);
  writeFileSync(file, "");
  chmodSync(program, 0o755);
  vi.stubEnv("PATH", `${folder.path}:${process.env.PATH}`);
  vi.stubEnv("SAID", file);
  onTestFinished(() => void vi.unstubAllEnvs());
  return { said: () => readFileSync(file, "utf8").trim().split("\n") };
}

async function ended(child: ChildProcess): Promise<unknown> {
  const [code] = await once(child, "exit");
  return code;
}
