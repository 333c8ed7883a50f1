import type { Host } from "./host.ts";
import { programFile, startProgram } from "./sockets.ts";

/** What `programs/request.ts` tells now and then, of the time since it did so last. */
export interface Heard {
  /** When it told; all times are of CLOCK_MONOTONIC, ms. */
  readonly atMs: number;
  /** When an answer came. */
  readonly answeredAtMs: readonly number[];
  readonly unanswered: number;
  /** How late it got to a request of its own: nothing shorter can be seen. */
  readonly latestMs: number;
  /** Processor time it took. */
  readonly cpuMs: number;
}

export interface RequestsOptions {
  readonly address: string;
  readonly port: number;
  readonly everyMs: number;
  /** A request that is not answered so soon is given up. */
  readonly withinMs: number;
  readonly onHeard: (heard: Heard) => void;
}

/** A host's HTTP requests, one after the other until it is disposed of: a process on the host. */
export function startRequests(host: Host, options: RequestsOptions): AsyncDisposable {
  const { address, port, everyMs, withinMs, onHeard } = options;
  const args = [address, port, everyMs, withinMs].map(String);
  const child = startProgram([...host.command(), programFile("request"), ...args]);
  child.on("message", (heard) => onHeard(heard as Heard));
  // Who waits for answers sees that none come.
  child.on("error", () => {});
  const ended = new Promise((resolve) => child.once("exit", resolve).once("error", resolve));
  return {
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGKILL");
      await ended;
    },
  };
}

/** The time as `Heard` has it. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint() / 1_000n) / 1_000;
}
