import { join } from "node:path";
import { type Failure, type Result, success } from "../../protocol/failures.ts";
import { commandRunner, type Run } from "../../protocol/node/command.ts";
import { makeFolder, readFileIfThere, storageFailure, writeFileDurably } from "../../protocol/node/files.ts";
import type { Logger } from "../../protocol/node/log.ts";
import type { ResolverFiles } from "../core/resolver.ts";
import { type DnsmasqFiles, endDnsmasq, reloadDnsmasq, runningPid, startDnsmasq } from "./dnsmasq-process.ts";
import { dnsmasqVersion } from "./dnsmasq-version.ts";

const lookEveryMs = 250;
const backoff = { minMs: 100, maxMs: 10_000, resetAfterMs: 10_000 } as const;

type State =
  /** Nothing wanted yet, or no longer. */
  | { readonly kind: "idle" }
  | { readonly kind: "running"; readonly pid: number; readonly sinceMs: number; readonly attempt: number }
  | {
      readonly kind: "waiting";
      readonly retryAtMs: number;
      readonly attempt: number;
      readonly failure: Failure;
    };

/** Where dnsmasq finds its files in a folder of the agent's; `resolverFiles` is told the same. */
export function resolverPaths(folder: string) {
  return {
    configFile: join(folder, "dnsmasq.conf"),
    serversFile: join(folder, "dnsmasq.servers"),
    pidFile: join(folder, "dnsmasq.pid"),
    logFile: join(folder, "dnsmasq.log"),
  };
}

/**
 * dnsmasq as a service that is wanted: started, started again when it ends, reloaded when only its servers change,
 * restarted when its configuration does. It outlives the agent, which takes the running one over when it comes back.
 */
export class Dnsmasq implements Disposable {
  readonly #inside: readonly string[];
  readonly #run: Run;
  readonly #paths: ReturnType<typeof resolverPaths>;
  readonly #folder: string;
  readonly #log: Logger;
  readonly #watch: NodeJS.Timeout;
  #state: State = { kind: "idle" };
  #wanted: ResolverFiles | undefined;
  #isUsable = false;
  #isBusy = false;
  #last: Promise<unknown> = Promise.resolve();

  /** `inside` stands before the command, as `ip netns exec NAME` does. */
  constructor(options: { folder: string; log: Logger; inside?: readonly string[] }) {
    this.#inside = options.inside ?? [];
    this.#run = commandRunner(this.#inside);
    this.#folder = options.folder;
    this.#paths = resolverPaths(options.folder);
    this.#log = options.log;
    this.#watch = setInterval(() => {
      if (!this.#isBusy) void this.#inTurn(() => this.#look());
    }, lookEveryMs);
    this.#watch.unref();
  }

  /** Why no resolver answers now. */
  get problem(): Failure | undefined {
    return this.#state.kind === "waiting" ? this.#state.failure : undefined;
  }

  get pid(): number | undefined {
    return this.#state.kind === "running" ? this.#state.pid : undefined;
  }

  /** Brings the resolver to these files; undefined ends it. Safe to repeat. */
  apply(files: ResolverFiles | undefined): Promise<Result<void>> {
    return this.#inTurn(() => {
      this.#wanted = files;
      return files === undefined ? this.#end() : this.#bring(files, 0);
    });
  }

  /** Stops watching. The process stays: it answers devices while the agent is away. */
  [Symbol.dispose](): void {
    clearInterval(this.#watch);
  }

  async #bring(files: ResolverFiles, attempt: number): Promise<Result<void>> {
    const usable = await this.#checkVersion();
    if (!usable.ok) return this.#failed(usable.failure, attempt);
    const { configFile, serversFile } = this.#paths;
    const pid = runningPid(this.#files);
    const isNewConfig = readFileIfThere(configFile) !== files.config;
    const areNewServers = readFileIfThere(serversFile) !== files.servers;
    const written = await this.#write(files, { isNewConfig, areNewServers });
    if (!written.ok) return pid === undefined ? this.#failed(written.failure, attempt) : written;
    if (pid === undefined || isNewConfig) return this.#start(attempt);
    if (areNewServers) reloadDnsmasq(pid);
    if (this.pid !== pid) this.#state = { kind: "running", pid, sinceMs: performance.now(), attempt: 0 };
    return success(undefined);
  }

  async #end(): Promise<Result<void>> {
    this.#state = { kind: "idle" };
    await endDnsmasq(this.#files);
    return success(undefined);
  }

  async #start(attempt: number): Promise<Result<void>> {
    await endDnsmasq(this.#files);
    const started = await startDnsmasq(this.#inside, this.#files);
    if (!started.ok) return this.#failed(started.failure, attempt);
    this.#state = { kind: "running", pid: started.value, sinceMs: performance.now(), attempt };
    this.#log.info({ pid: started.value }, "the resolver runs");
    return success(undefined);
  }

  /** Once in `lookEveryMs`: whether it still runs, and whether it is time to start it again. */
  async #look(): Promise<void> {
    const state = this.#state;
    const nowMs = performance.now();
    switch (state.kind) {
      case "idle":
        return;
      case "running": {
        if (runningPid(this.#files) === state.pid) return;
        this.#log.warn({ pid: state.pid }, "the resolver ended by itself");
        await this.#start(nowMs - state.sinceMs > backoff.resetAfterMs ? 0 : state.attempt + 1);
        return;
      }
      case "waiting":
        if (nowMs >= state.retryAtMs && this.#wanted !== undefined) {
          await this.#bring(this.#wanted, state.attempt + 1);
        }
    }
  }

  #failed(failure: Failure, attempt: number): Result<void> {
    const waitMs = Math.min(backoff.maxMs, backoff.minMs * 2 ** Math.min(attempt, 16));
    if (this.#state.kind !== "waiting") this.#log.warn({ ...failure.facts }, "there is no resolver");
    this.#state = { kind: "waiting", retryAtMs: performance.now() + waitMs, attempt, failure };
    return { ok: false, failure };
  }

  /** A configuration that dnsmasq refuses never replaces one that it runs with. */
  async #write(
    files: ResolverFiles,
    change: { isNewConfig: boolean; areNewServers: boolean },
  ): Promise<Result<void>> {
    const { configFile, serversFile } = this.#paths;
    try {
      makeFolder(this.#folder);
      if (change.areNewServers) writeFileDurably(serversFile, files.servers, 0o640);
      if (!change.isNewConfig) return success(undefined);
      const trial = `${configFile}.trial`;
      writeFileDurably(trial, files.config, 0o640);
      const tested = await this.#run(["dnsmasq", "--test", "-C", trial]);
      if (!tested.ok) return tested;
      writeFileDurably(configFile, files.config, 0o640);
      return success(undefined);
    } catch (error) {
      return { ok: false, failure: storageFailure(error, this.#folder) };
    }
  }

  async #checkVersion(): Promise<Result<void>> {
    if (this.#isUsable) return success(undefined);
    const version = await dnsmasqVersion(this.#run);
    if (!version.ok) return version;
    this.#isUsable = true;
    return success(undefined);
  }

  get #files(): DnsmasqFiles {
    const { configFile, pidFile, logFile } = this.#paths;
    return { config: configFile, pid: pidFile, log: logFile };
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    this.#isBusy = true;
    const result = this.#last.then(work);
    const ended = result.then(
      () => undefined,
      () => undefined,
    );
    this.#last = ended;
    void ended.then(() => {
      if (this.#last === ended) this.#isBusy = false;
    });
    return result;
  }
}
