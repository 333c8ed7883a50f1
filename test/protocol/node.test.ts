import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { Core } from "../../protocol/core.ts";
import { systemClock } from "../../protocol/node/clock.ts";
import { Driver } from "../../protocol/node/driver.ts";
import { makeFolder, readFileIfThere, writeFileDurably } from "../../protocol/node/files.ts";
import {
  isKeyPair,
  makeIdentityKey,
  makeWireguardKey,
  signText,
  verifyText,
} from "../../protocol/node/keys.ts";
import { programOf, startOf } from "../../protocol/node/processes.ts";
import { temporaryFolder } from "../support/folder.ts";
import { unread } from "../support/unread.ts";
import { until } from "../support/until.ts";

test("a driver hands a whole turn's effects over at once, in order, and keeps the one timer", async () => {
  class Echo implements Core<string, string> {
    #dueMs: number | undefined;
    handle(input: string, now: { monotonicMs: number }): string[] {
      this.#dueMs = input === "tick" ? undefined : now.monotonicMs + 20;
      return [`${input}!`];
    }
    nextDeadline() {
      return this.#dueMs;
    }
  }
  const turns: (readonly string[])[] = [];
  using driver = new Driver({
    core: new Echo(),
    perform: (effects) => turns.push(effects),
    tick: "tick",
    clock: systemClock,
  });
  driver.post("a");
  driver.post("b");
  expect(turns).toEqual([]);
  await until("the tick", () => turns.length === 2);
  expect(turns).toEqual([["a!", "b!"], ["tick!"]]);
  driver.post("late");
  driver[Symbol.dispose]();
  driver.flush();
  expect(turns).toHaveLength(2);
});

test("a deadline that is due while this process is not let run is judged after what has come meanwhile", async () => {
  class Listener implements Core<string, string> {
    #silentAtMs: number | undefined;
    handle(input: string, now: { monotonicMs: number }): string[] {
      this.#silentAtMs = input === "tick" ? undefined : now.monotonicMs + 20;
      return [input];
    }
    nextDeadline() {
      return this.#silentAtMs;
    }
  }
  const done: string[] = [];
  using driver = new Driver({
    core: new Listener(),
    perform: (effects) => done.push(...effects),
    tick: "tick",
    clock: systemClock,
  });
  await using socket = await unread(() => driver.post("a word"));
  driver.post("start");
  driver.flush();
  socket.pass(60);
  await until("the word", () => done.includes("a word"));
  expect(done.slice(0, 2)).toEqual(["start", "a word"]);
});

test("the monotonic clock is that of the host: two processes read the same", () => {
  const before = systemClock().monotonicMs;
  const script = "process.stdout.write(String(Number(process.hrtime.bigint()) / 1e6))";
  const other = Number(spawnSync(process.execPath, ["-e", script], { encoding: "utf8" }).stdout);
  expect(other).toBeGreaterThan(before);
  expect(other).toBeLessThan(systemClock().monotonicMs);
});

test("a durable write leaves the old or the new content, with the mode that was asked for", () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "identity.json");
  expect(readFileIfThere(path)).toBeUndefined();
  writeFileDurably(path, "one");
  writeFileSync(`${path}.new`, "left over by a crash");
  writeFileDurably(path, "two");
  expect(readFileSync(path, "utf8")).toBe("two");
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(existsSync(`${path}.new`)).toBe(false);
});

test("a folder that cannot be written is an error, not silence", () => {
  expect(() => writeFileDurably("/proc/connector-test", "x")).toThrow();
});

test("a folder is made with those above it, and one that cannot be made is an error at once", () => {
  using folder = temporaryFolder();
  const deep = join(folder.path, "a", "b b", "c");
  makeFolder(deep, 0o700);
  makeFolder(deep);
  expect(statSync(deep).mode & 0o777).toBe(0o700);
  // /proc answers ENOENT although it is there, over which Node's own recursive mkdir spins for ever.
  expect(() => makeFolder("/proc/connector/state")).toThrow("ENOENT");
  writeFileSync(join(folder.path, "file"), "");
  expect(() => makeFolder(join(folder.path, "file", "state"))).toThrow("ENOTDIR");
  expect(() => makeFolder(join(folder.path, "file"))).toThrow("EEXIST");
});

test("keys sign and verify, are WireGuard's, and damage is seen", () => {
  const identity = makeIdentityKey();
  const signature = signText(identity, "text");
  expect(verifyText(identity.publicKey, "text", signature)).toBe(true);
  expect(verifyText(identity.publicKey, "other", signature)).toBe(false);
  expect(verifyText(makeIdentityKey().publicKey, "text", signature)).toBe(false);
  expect(verifyText("not a key", "text", "not a signature")).toBe(false);
  const wireguard = makeWireguardKey();
  expect(Buffer.from(wireguard.publicKey, "base64url")).toHaveLength(32);
  expect(isKeyPair("X25519", wireguard)).toBe(true);
  expect(isKeyPair("Ed25519", identity)).toBe(true);
  expect(isKeyPair("Ed25519", { ...identity, publicKey: makeIdentityKey().publicKey })).toBe(false);
  expect(isKeyPair("Ed25519", { publicKey: "", privateKey: "" })).toBe(false);
});

test("a log that cannot be written ends nobody", () => {
  const log = join(import.meta.dirname, "../../protocol/node/log.ts");
  const script = [
    `import { createLogger } from ${JSON.stringify(log)};`,
    'const log = createLogger({ name: "test", level: "info" });',
    'for (const n of [1, 2, 3]) log.info({ n }, "said");',
    'setImmediate(() => process.stderr.write("goes on"));',
  ].join("\n");
  const node = `"${process.execPath}" --input-type=module -e '${script}' > /dev/full`;
  expect(spawnSync("sh", ["-c", node], { encoding: "utf8" })).toMatchObject({ status: 0, stderr: "goes on" });
});

test("complaints that nobody reads do not change what a command ends with", async () => {
  const main = join(import.meta.dirname, "../../agent/cli/main.ts");
  const child = spawn(process.execPath, [main, "status", "--socket", "/nowhere/agent.sock"], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  child.stderr.destroy();
  expect(await once(child, "close")).toEqual([2, null]);
});

test("a process that was killed does not run, though nobody has asked yet how it ended", async () => {
  // The shell starts one in the background and becomes another, which never asks.
  const parent = spawn("sh", ["-c", "sleep 1000 & echo $!; exec sleep 1000"], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  const [said] = await once(parent.stdout, "data");
  const child = Number(said);
  try {
    // A shell may still ask.
    await until("another program", () => programOf(parent.pid ?? 0) === "sleep");
    const startedAt = startOf(child);
    expect(Number(startedAt)).toBeGreaterThan(0);
    expect(startOf(child)).toBe(startedAt);
    process.kill(child, "SIGKILL");
    await until("its end", () => startOf(child) === undefined);
    expect(readFileSync(`/proc/${child}/stat`, "utf8")).toContain(") Z ");
  } finally {
    parent.kill("SIGKILL");
  }
  expect(startOf(process.pid)).toMatch(/^\d+$/);
  expect(startOf(2 ** 30)).toBeUndefined();
});
