import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

export interface ProcessOptions {
  readonly name: string;
  /** Script and arguments, for the Node that runs the lab. */
  readonly args: readonly string[];
  /**
   * What runs them instead of that Node. It must come to its program by exec(2) alone, as `ip netns exec` does: a
   * child of its own would outlive the lab.
   */
  readonly command?: readonly [program: string, ...args: string[]];
  readonly env?: Readonly<Record<string, string>>;
  /** What it writes, both streams. */
  readonly logFile: string;
  /** Told of every end that nobody asked for, and whether it is started again. */
  readonly onExit?: (how: Exit, willRestart: boolean) => void;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** Fourteen processes compile the same modules: with what Node kept of the last run, each starts in half the time. */
export const compileCache = {
  NODE_COMPILE_CACHE: join(import.meta.dirname, "..", "node_modules", ".cache", "connector-lab"),
} as const;

/** As systemd does for the agent: `Restart=always`, but not after a wrong command line or configuration. */
const restartAfterMs = 100;
const restartPreventExitCodes: ReadonlySet<number | null> = new Set([64, 78]);

/**
 * One process of the product, as a service manager would run it: its own session, so that Ctrl-C reaches only the lab;
 * killed by the kernel when the lab dies (prctl(2), PR_SET_PDEATHSIG), however it dies; started again when it ends.
 */
export class Process {
  readonly name: string;
  readonly logFile: string;
  readonly #options: ProcessOptions;
  #child: ChildProcess | undefined;
  #ended: Promise<Exit> = Promise.resolve({ code: null, signal: null });
  #isWanted = false;
  #starts = 0;

  constructor(options: ProcessOptions) {
    this.name = options.name;
    this.logFile = options.logFile;
    this.#options = options;
  }

  /** Undefined while it does not run. */
  get pid(): number | undefined {
    const child = this.#child;
    return child === undefined || child.exitCode !== null || child.signalCode !== null
      ? undefined
      : child.pid;
  }

  /** How many times it was started, by hand or after an end. */
  get starts(): number {
    return this.#starts;
  }

  /** The end of the current or the last run. */
  get ended(): Promise<Exit> {
    return this.#ended;
  }

  start(): void {
    if (this.pid !== undefined) return;
    this.#isWanted = true;
    this.#spawn();
  }

  /** Asks it to end, insists after a while, and leaves it down. */
  async stop(withinMs = 5_000): Promise<Exit> {
    this.#isWanted = false;
    if (this.pid === undefined) return this.#ended;
    this.signal("SIGTERM");
    const insist = setTimeout(() => this.signal("SIGKILL"), withinMs);
    try {
      return await this.#ended;
    } finally {
      clearTimeout(insist);
    }
  }

  /** Ends it as a power cut does, and leaves it down. */
  async halt(): Promise<Exit> {
    this.#isWanted = false;
    this.signal("SIGKILL");
    return this.#ended;
  }

  /** Sends a signal; a process that ends of it is started again. */
  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }

  log(): string {
    return readFileSync(this.logFile, "utf8");
  }

  tail(lines: number): string[] {
    return this.log().trimEnd().split("\n").slice(-lines);
  }

  #spawn(): void {
    this.#starts += 1;
    const output = openSync(this.logFile, "a", 0o600);
    const { command = [process.execPath], args } = this.#options;
    const child = spawn("setpriv", ["--pdeathsig", "KILL", ...command, ...args], {
      detached: true,
      stdio: ["ignore", output, output],
      env: { ...compileCache, ...process.env, ...this.#options.env },
    });
    closeSync(output);
    this.#child = child;
    this.#ended = new Promise((resolve, reject) => {
      child.once("error", reject);
      child.once("exit", (code, signal) => resolve({ code, signal }));
    });
    this.#ended.then((how) => this.#restart(how));
  }

  async #restart(how: Exit): Promise<void> {
    if (!this.#isWanted) return;
    const willRestart = !restartPreventExitCodes.has(how.code);
    this.#options.onExit?.(how, willRestart);
    if (!willRestart) return;
    await sleep(restartAfterMs);
    // Somebody may have started it meanwhile.
    if (this.#isWanted && this.pid === undefined) this.#spawn();
  }
}
