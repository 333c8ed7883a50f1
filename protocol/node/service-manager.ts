import { spawn } from "node:child_process";
import { fstatSync, writeSync } from "node:fs";
import { printable } from "./text.ts";

/** What a service says of itself, with how it goes in words: sd_notify(3). */
export type Word =
  /** It serves: whoever waits for its start goes on. */
  | { readonly say: "ready"; readonly status: string }
  /** It works. The watchdog bites where this is not heard for too long. */
  | { readonly say: "alive"; readonly status: string }
  | { readonly say: "stopping"; readonly status: string }
  /** Its end takes time: so much from now on, whatever the unit's time-out is. */
  | { readonly say: "stillStopping"; readonly status: string; readonly forMs: number };

export interface ServiceManager {
  /** How long systemd waits for a sign of life; undefined where it does not watch. */
  readonly watchdogMs: number | undefined;
  /** How often it may be told something without that being a burden. */
  readonly everyMs: number;
  /** Resolves when it was heard, or could not be: a service works on without its manager. */
  tell(word: Word): Promise<void>;
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The systemd that started this process; undefined where none did, or none that wants to hear anything. Node has no
 * datagram sockets of the Unix family: systemd 253 and newer open theirs for us (`OpenFile=/run/systemd/notify:notify`);
 * for older ones there is systemd-notify(1), which waits until it was heard, so that it is known whose child it was.
 *
 * @param onDeaf told once, when systemd cannot be told.
 */
export function serviceManager(
  env: Environment,
  onDeaf: (error: unknown) => void,
  pid = process.pid,
): ServiceManager | undefined {
  if (!env.NOTIFY_SOCKET) return undefined;
  const fd = notifyDescriptor(env, pid);
  let isDeaf = false;
  return {
    watchdogMs: watchdogMs(env, pid),
    everyMs: fd === undefined ? 5_000 : 1_000,
    tell: async (word) => {
      try {
        if (fd === undefined) await run("systemd-notify", linesOf(word));
        else writeSync(fd, linesOf(word).join("\n"));
      } catch (error) {
        if (!isDeaf) onDeaf(error);
        isDeaf = true;
      }
    },
  };
}

/**
 * Says at once that the service is ready, and then that it lives and how it goes, until disposed of. `beat` does a turn of
 * the work and tells how it goes: work that hangs or throws is no sign of life.
 */
export function keepTelling(manager: ServiceManager, beat: () => string): Disposable {
  // Three may be lost.
  const aliveEveryMs = manager.watchdogMs === undefined ? Number.POSITIVE_INFINITY : manager.watchdogMs / 4;
  const lookEveryMs = Math.min(manager.everyMs, aliveEveryMs);
  let status = beat();
  let saidAtMs = performance.now();
  let isSaying = false;
  const say = async (word: "ready" | "alive") => {
    saidAtMs = performance.now();
    isSaying = true;
    await manager.tell({ say: word, status });
    isSaying = false;
  };
  void say("ready");
  let turn: NodeJS.Immediate | undefined;
  const look = () => {
    const now = beat();
    const isDue = performance.now() - saidAtMs > aliveEveryMs - lookEveryMs;
    // One at a time: a program that hangs is not joined by others.
    if (isSaying || (now === status && !isDue)) return;
    status = now;
    void say("alive");
  };
  // At the end of its turn: when this process was not let run for a while, what has come meanwhile is judged with it.
  const timer = setInterval(() => {
    clearImmediate(turn);
    turn = setImmediate(look);
  }, lookEveryMs);
  return {
    [Symbol.dispose]: () => {
      clearInterval(timer);
      clearImmediate(turn);
    },
  };
}

/** Descriptors begin at 3, in the order of their names: sd_listen_fds_with_names(3). */
function notifyDescriptor(env: Environment, pid: number): number | undefined {
  if (env.LISTEN_PID !== String(pid)) return undefined;
  const index = (env.LISTEN_FDNAMES ?? "").split(":").indexOf("notify");
  if (index < 0) return undefined;
  try {
    fstatSync(3 + index);
    return 3 + index;
  } catch {
    return undefined;
  }
}

function watchdogMs(env: Environment, pid: number): number | undefined {
  const isOurs = env.WATCHDOG_PID === undefined || env.WATCHDOG_PID === String(pid);
  const ms = Number(env.WATCHDOG_USEC) / 1000;
  return isOurs && ms > 0 ? ms : undefined;
}

function linesOf(word: Word): readonly string[] {
  const status = `STATUS=${printable(word.status).slice(0, 500)}`;
  switch (word.say) {
    case "ready":
      return ["READY=1", "WATCHDOG=1", status];
    case "alive":
      return ["WATCHDOG=1", status];
    case "stopping":
      return ["STOPPING=1", status];
    case "stillStopping":
      return [`EXTEND_TIMEOUT_USEC=${Math.ceil(word.forMs) * 1000}`, status];
  }
}

/** systemd-notify gives up by itself after five seconds. */
function run(program: string, args: readonly string[]): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const child = spawn(program, args, { stdio: "ignore" });
  child.once("error", reject);
  child.once("exit", (code, signal) => {
    if (code === 0) resolve();
    else reject(new Error(`${program} ended with ${signal ?? `exit code ${code}`}`));
  });
  return promise;
}
