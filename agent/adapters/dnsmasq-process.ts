import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync, readFileSync, rmSync, statSync, truncateSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { failed, type Result, success } from "../../protocol/failures.ts";
import { processIds } from "../../protocol/node/processes.ts";

/** The process behind the resolver: finding, starting, signalling and ending it. */

export interface DnsmasqFiles {
  readonly config: string;
  readonly pid: string;
  /** What dnsmasq says. */
  readonly log: string;
}

const startWithinMs = 5_000;
const endWithinMs = 2_000;
const lookEveryMs = 2;
const logBytesMax = 1024 * 1024;

/** Our dnsmasq's process id while it runs, whichever process of ours started it. */
export function runningPid({ config, pid }: DnsmasqFiles): number | undefined {
  try {
    const found = Number(readFileSync(pid, "utf8").trim());
    return Number.isInteger(found) && found > 1 && isOurs(found, config) ? found : undefined;
  } catch {
    return undefined;
  }
}

/** What it says to the log does not fill the disk: it appends, so that it goes on at the new end. */
export function boundLog({ log }: DnsmasqFiles): void {
  try {
    if (statSync(log).size > logBytesMax) truncateSync(log);
  } catch {
    // There is none.
  }
}

/** One whose file with the process id was lost would keep every other from the port, and never be found again. */
function strays({ config }: DnsmasqFiles): number[] {
  return processIds().filter((pid) => pid > 1 && isOurs(pid, config));
}

/**
 * Starts dnsmasq and waits until it listens: it writes its process id after that. In a session of its own, holding
 * nothing of ours: our end, also by SIGKILL, is not its end.
 */
export async function startDnsmasq(inside: readonly string[], files: DnsmasqFiles): Promise<Result<number>> {
  const fail = (error: string, cause?: unknown) =>
    failed("datapath.failing", { command: `dnsmasq -C ${files.config}`, error }, cause);
  let log: number;
  try {
    rmSync(files.pid, { force: true });
    log = openSync(files.log, "a", 0o600);
    boundLog(files);
  } catch (error) {
    return fail(`${files.log} cannot be written: ${(error as NodeJS.ErrnoException).code}`, error);
  }
  let ended: string | undefined;
  const [file = "", ...args] = [...inside, "dnsmasq", "-C", files.config];
  let child: ChildProcess;
  try {
    child = spawn(file, args, { detached: true, stdio: ["ignore", log, log] });
  } catch (error) {
    return fail((error as Error).message, error);
  } finally {
    closeSync(log);
  }
  child.once("error", (error: NodeJS.ErrnoException) => {
    ended = error.code === "ENOENT" ? `${file} is not installed` : error.message;
  });
  child.once("exit", (code, signal) => {
    ended ??= lastWords(files.log) ?? `ended with ${signal ?? `exit code ${code}`}`;
  });
  child.unref();
  const deadlineMs = performance.now() + startWithinMs;
  while (ended === undefined) {
    const pid = runningPid(files);
    if (pid !== undefined && pid === child.pid) return success(pid);
    if (performance.now() > deadlineMs) {
      child.kill("SIGKILL");
      return fail(`does not listen within ${startWithinMs} ms`);
    }
    await sleep(lookEveryMs);
  }
  return fail(ended);
}

/** It reads its servers anew, and its cache begins empty; no query is lost by that. */
export function reloadDnsmasq(pid: number): void {
  signal(pid, "SIGHUP");
}

/** Ends it, and insists after a while. One that even SIGKILL does not end keeps the next from listening, which says so. */
export async function endDnsmasq(files: DnsmasqFiles, by: "SIGTERM" | "SIGKILL" = "SIGTERM"): Promise<void> {
  for (const pid of strays(files)) await endProcess(pid, files, by);
}

async function endProcess(pid: number, files: DnsmasqFiles, by: NodeJS.Signals): Promise<void> {
  signal(pid, by);
  const deadlineMs = performance.now() + endWithinMs;
  while (isOurs(pid, files.config)) {
    if (performance.now() > deadlineMs + endWithinMs) return;
    if (performance.now() > deadlineMs) signal(pid, "SIGKILL");
    await sleep(lookEveryMs);
  }
}

/** A process id may have become somebody else's: its command line tells. That of a process that has ended is empty. */
function isOurs(pid: number, config: string): boolean {
  try {
    const args = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
    return args.at(-2) === config && args.some((arg) => arg.endsWith("dnsmasq"));
  } catch {
    return false;
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It ended meanwhile.
  }
}

export function lastWords(path: string): string | undefined {
  try {
    const lines = readFileSync(path, "utf8").slice(-4096).split("\n");
    return lines.findLast((line) => line !== "")?.slice(0, 200);
  } catch {
    // Gone with its folder.
    return undefined;
  }
}
