import { type ChildProcess, type ChildProcessByStdio, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import type { Logger } from "../../protocol/node/log.ts";

const backoff = { minMs: 1_000, maxMs: 60_000, resetAfterMs: 60_000 } as const;
/** BOUNDED: transactions of ours that the kernel may not have told of yet. */
const ownMax = 64;
/** The resolver adds the addresses it has learned; who is let in at all stands in `users4` and `users6`. */
const learned = /^add element inet connector (?!users[46] )/;

/**
 * Listens to `nft monitor` for changes of table `inet connector` by anybody else: `nft flush ruleset`, which restarting
 * Debian's nftables.service does too, leaves users without rules, and is to be noticed in milliseconds. It is a help
 * beside the periodic comparison, not instead of it: where it cannot run, nothing else suffers.
 */
export class NftMonitor implements Disposable {
  readonly #inside: readonly string[];
  readonly #onChange: (by: string) => void;
  readonly #log: Logger;
  readonly #own: number[] = [];
  #child: ChildProcess | undefined;
  #retry: NodeJS.Timeout | undefined;
  #attempt = 0;
  #isEnded = false;
  /** Lines about our table since the last end of a transaction. */
  #isOurTable = false;

  /** `onChange` is told who it was: `nft (pid 1234)`. `inside` stands before the command, as `ip netns exec NAME` does. */
  constructor(options: { log: Logger; onChange: (by: string) => void; inside?: readonly string[] }) {
    this.#inside = options.inside ?? [];
    this.#log = options.log;
    this.#onChange = options.onChange;
    this.#start();
  }

  /** What this process changes is none of the news. */
  own(pid: number): void {
    this.#own.push(pid);
    if (this.#own.length > ownMax) this.#own.shift();
  }

  [Symbol.dispose](): void {
    this.#isEnded = true;
    clearTimeout(this.#retry);
    this.#child?.kill();
  }

  #start(): void {
    const startedAtMs = performance.now();
    const [file = "", ...args] = [...this.#inside, "nft", "monitor"];
    let child: ChildProcessByStdio<null, Readable, null>;
    try {
      child = spawn(file, args, { stdio: ["ignore", "pipe", "ignore"] });
    } catch (error) {
      this.#again((error as Error).message, startedAtMs);
      return;
    }
    this.#child = child;
    child.unref();
    const ended = (why: string) => {
      if (this.#isEnded || this.#child !== child) return;
      this.#child = undefined;
      this.#again(why, startedAtMs);
    };
    child.once("error", (error) => ended(error.message));
    child.once("exit", (code, signal) => ended(`nft monitor ended with ${signal ?? code}`));
    // Without a free descriptor there is no pipe; the error is on its way.
    if (child.stdout === undefined) return;
    createInterface(child.stdout).on("line", (line) => this.#take(line));
  }

  #again(why: string, startedAtMs: number): void {
    if (performance.now() - startedAtMs > backoff.resetAfterMs) this.#attempt = 0;
    if (this.#attempt === 0)
      this.#log.warn({ why }, "changes of the firewall are not told while they happen");
    const waitMs = Math.min(backoff.maxMs, backoff.minMs * 2 ** Math.min(this.#attempt++, 16));
    this.#retry = setTimeout(() => this.#start(), waitMs).unref();
  }

  #take(line: string): void {
    const by = /^# new generation \d+ by process (\d+) \((.*)\)/.exec(line);
    if (by === null) {
      this.#isOurTable ||= line.includes(" inet connector") && !learned.test(line);
      return;
    }
    const isOurTable = this.#isOurTable;
    this.#isOurTable = false;
    const [, pid = "", name = ""] = by;
    if (!isOurTable || this.#own.includes(Number(pid))) return;
    this.#onChange(`${name} (pid ${pid})`);
  }
}
