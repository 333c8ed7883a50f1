import { type ChildProcess, spawn } from "node:child_process";
import {
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  truncateSync,
} from "node:fs";
import type { Socket } from "node:net";
import { basename, dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Failure, failed, type Result, success } from "../../failures.ts";
import { storageFailure } from "../files.ts";
import { processIds } from "../processes.ts";
import { controlSocketOf, type UapiControl } from "./uapi.ts";

/** The process behind one interface: finding, starting and killing it. */

const command = "wireguard-go";
const startWithinMs = 5_000;
const lookEveryMs = 10;
const logBytesMax = 1024 * 1024;

export function logFileOf(name: string): string {
  return `${dirname(controlSocketOf(name))}/${name}.log`;
}

/**
 * Starts wireguard-go and waits until it answers on its socket. It is made the leader of a session of its own, writes
 * into a file and holds nothing of ours, so that our end, also by SIGKILL, is not its end.
 */
export async function startWireguardGo(
  name: string,
  inside: readonly string[],
  control: UapiControl,
): Promise<Result<Socket>> {
  const path = logFileOf(name);
  const fail = (error: string, cause?: unknown) =>
    failed("datapath.failing", { command: `${command} -f ${name}`, error }, cause);
  let log: number;
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
    log = openSync(path, "a", 0o600);
    truncateSync(path);
  } catch (error) {
    return fail(`${dirname(path)} cannot be written: ${(error as NodeJS.ErrnoException).code}`, error);
  }

  let ended: string | undefined;
  const [file = command, ...args] = [...inside, command, "-f", name];
  let child: ChildProcess;
  try {
    child = spawn(file, args, {
      detached: true,
      stdio: ["ignore", log, log],
      env: { ...process.env, LOG_LEVEL: "error" },
    });
  } catch (error) {
    return fail((error as Error).message, error);
  } finally {
    closeSync(log);
  }
  child.once("error", (error: NodeJS.ErrnoException) => {
    ended = error.code === "ENOENT" ? `${file} is not installed` : error.message;
  });
  const onExit = (code: number | null, signal: string | null) => {
    ended ??= lastWords(path) ?? `ended with ${signal ?? `exit code ${code}`}`;
  };
  child.once("exit", onExit);
  child.unref();

  const deadlineMs = performance.now() + startWithinMs;
  while (ended === undefined) {
    const watch = await control.watch().catch(() => undefined);
    if (watch !== undefined) {
      child.off("exit", onExit);
      return success(watch);
    }
    if (performance.now() > deadlineMs) {
      child.kill("SIGKILL");
      return fail(`no control socket within ${startWithinMs} ms`);
    }
    await sleep(lookEveryMs);
  }
  return fail(ended);
}

/**
 * Kills the process of an interface, whoever started it: one that hangs does not end when its interface is removed.
 * It is found by its command line and its network namespace (`net:[4026531840]`): another one may have an interface of
 * this name too.
 */
export function killWireguardGo(name: string, namespace: string): void {
  for (const pid of processIds()) {
    try {
      const [file = "", ...args] = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
      if (basename(file) !== command || !args.includes(name)) continue;
      if (readlinkSync(`/proc/${pid}/ns/net`) === namespace) process.kill(pid, "SIGKILL");
    } catch {
      // It ended meanwhile, or is not ours to look at.
    }
  }
}

/** Keeps the log small; it is opened for appending, so that writing goes on at its new end. */
export function trimLog(name: string): void {
  const path = logFileOf(name);
  try {
    if (statSync(path).size > logBytesMax) truncateSync(path);
  } catch {
    // There is none: the process was started by somebody else.
  }
}

/** Removes what a process leaves that was killed, and its log. Undefined when that worked. */
export function forgetFiles(name: string): { ok: false; failure: Failure } | undefined {
  try {
    rmSync(controlSocketOf(name), { force: true });
    rmSync(logFileOf(name), { force: true });
    return undefined;
  } catch (error) {
    return { ok: false, failure: storageFailure(error, dirname(logFileOf(name))) };
  }
}

/**
 * What it said last: its own errors, or those of who should have started it. Not the box about the kernel's module, nor
 * `ERROR: (connector0) 2026/11/22 18:45:05`: of what is said again and again the words are to stay the same.
 */
function lastWords(path: string): string | undefined {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
  const lines = text.slice(-4096).split("\n");
  const last = lines.findLast((line) => line !== "" && !/^[┌│└]/.test(line));
  return last?.replace(/^\w+: \(\S+\) [\d/]+ [\d:]+ /, "").slice(0, 200);
}
