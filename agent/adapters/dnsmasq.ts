import { join } from "node:path";
import { type Failure, failed, type Result, success } from "../../protocol/failures.ts";
import { commandRunner, type Run } from "../../protocol/node/command.ts";
import { makeFolder, readFileIfThere, storageFailure, writeFileDurably } from "../../protocol/node/files.ts";
import type { Logger } from "../../protocol/node/log.ts";
import { livenessName, type ResolverFiles } from "../core/resolver.ts";
import { type Heard, ResolverHealth } from "../core/resolver-health.ts";
import { ask } from "./dns-question.ts";
import {
  boundLog,
  type DnsmasqFiles,
  endDnsmasq,
  lastWords,
  reloadDnsmasq,
  runningPid,
  startDnsmasq,
} from "./dnsmasq-process.ts";
import { dnsmasqVersion } from "./dnsmasq-version.ts";

const lookEveryMs = 250;
const backoff = { minMs: 100, maxMs: 10_000, resetAfterMs: 10_000 } as const;
const answerWithinMs = 900;

type State =
  /** Nothing wanted yet, or no longer. */
  | { readonly kind: "idle" }
  /** `attempt`: starts in a row before it that did not last. */
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
 * dnsmasq as a service that is wanted: started, started again when it ends or does not answer, reloaded when only its
 * servers change, restarted when its configuration does. It outlives the agent, which takes the running one over when it
 * comes back. The configuration on disk is always that of the one that runs: it is replaced while none does.
 */
export class Dnsmasq implements AsyncDisposable {
  readonly #inside: readonly string[];
  readonly #run: Run;
  readonly #paths: ReturnType<typeof resolverPaths>;
  readonly #folder: string;
  readonly #log: Logger;
  readonly #watch: NodeJS.Timeout;
  #state: State = { kind: "idle" };
  #wanted: ResolverFiles | undefined;
  /** The last configuration that dnsmasq took. */
  #config: string | undefined;
  #health = new ResolverHealth();
  #isUsable = false;
  #isBusy = false;
  #isAsking = false;
  #isEnded = false;
  /** It may have been written servers that it was not told of, by an agent that was killed in between. */
  #isReloadDue = true;
  #last: Promise<unknown> = Promise.resolve();

  readonly #listens: (address: string) => Promise<Heard>;

  /** `inside` stands before the command, as `ip netns exec NAME` does; `listens` then asks from inside. */
  constructor(options: {
    folder: string;
    log: Logger;
    inside?: readonly string[];
    listens?: (address: string) => Promise<Heard>;
  }) {
    this.#inside = options.inside ?? [];
    this.#run = commandRunner(this.#inside);
    this.#folder = options.folder;
    this.#paths = resolverPaths(options.folder);
    this.#log = options.log;
    this.#listens = options.listens ?? doesListen;
    this.#watch = setInterval(() => {
      if (!this.#isBusy) void this.#inTurn(() => this.#look());
      void this.#ask();
    }, lookEveryMs);
    this.#watch.unref();
  }

  /** Why no resolver answers now. */
  get problem(): Failure | undefined {
    if (this.#state.kind === "waiting") return this.#state.failure;
    const error = this.#state.kind === "running" ? this.#health.problem : undefined;
    const address = this.#wanted?.listen.join(" ") ?? "";
    return error === undefined
      ? undefined
      : failed("datapath.failing", { command: "dnsmasq", address, error }).failure;
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

  /** Stops watching, and ends what was begun. The process stays: it answers devices while the agent is away. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#watch);
    this.#isEnded = true;
    await this.#last;
  }

  async #bring(files: ResolverFiles, attempt: number): Promise<Result<void>> {
    const usable = await this.#checkVersion();
    if (!usable.ok) return this.#failed(usable.failure, attempt);
    const pid = runningPid(this.#files);
    const written = await this.#write(files);
    if (!written.ok) return pid === undefined ? this.#failed(written.failure, attempt) : written;
    this.#config = files.config;
    if (pid === undefined || written.value.isNewConfig) return this.#start(attempt);
    if (written.value.areNewServers || this.#isReloadDue) reloadDnsmasq(pid);
    this.#isReloadDue = false;
    if (this.pid !== pid) this.#runs(pid, 0);
    return success(undefined);
  }

  async #end(): Promise<Result<void>> {
    this.#state = { kind: "idle" };
    this.#health = new ResolverHealth();
    await endDnsmasq(this.#files);
    return success(undefined);
  }

  async #start(attempt: number, by: "SIGTERM" | "SIGKILL" = "SIGTERM"): Promise<Result<void>> {
    const { configFile } = this.#paths;
    const config = this.#config;
    await endDnsmasq(this.#files, by);
    try {
      const isThere = config === undefined || readFileIfThere(configFile) === config;
      if (!isThere) writeFileDurably(configFile, config, 0o640);
    } catch (error) {
      return this.#failed(storageFailure(error, this.#folder), attempt);
    }
    const started = await startDnsmasq(this.#inside, this.#files);
    if (!started.ok) return this.#failed(started.failure, attempt);
    this.#isReloadDue = false;
    this.#runs(started.value, attempt);
    this.#log.info({ pid: started.value }, "the resolver runs");
    return success(undefined);
  }

  #runs(pid: number, attempt: number): void {
    const sinceMs = performance.now();
    this.#state = { kind: "running", pid, sinceMs, attempt };
    this.#health.began(sinceMs);
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
        const error = lastWords(this.#files.log) ?? "it ended by itself";
        this.#log.warn({ pid: state.pid, error }, "the resolver ended by itself");
        if (nowMs - state.sinceMs > backoff.resetAfterMs) await this.#start(0);
        else this.#failed(failed("datapath.failing", { command: "dnsmasq", error }).failure, state.attempt);
        return;
      }
      case "waiting":
        if (nowMs >= state.retryAtMs && this.#wanted !== undefined) {
          await this.#bring(this.#wanted, state.attempt + 1);
        }
    }
  }

  /** Whether it answers, when it is time to ask. Beside what else is done: nothing else is to wait for silence. */
  async #ask(): Promise<void> {
    const state = this.#state;
    const address = this.#wanted?.listen[0];
    if (state.kind !== "running" || address === undefined) return;
    if (this.#isAsking || !this.#health.isDue(performance.now())) return;
    this.#isAsking = true;
    const heard = await this.#listens(address).catch((): Heard => "silence");
    this.#isAsking = false;
    if (this.#isEnded) return;
    await this.#inTurn(() => this.#heard(state.pid, heard));
  }

  async #heard(pid: number, heard: Heard): Promise<void> {
    boundLog(this.#files);
    if (this.#state.kind !== "running" || this.#state.pid !== pid) return;
    if (!this.#health.heard(heard, performance.now())) return;
    this.#log.warn({ pid }, "the resolver does not answer and is started anew");
    await this.#start(this.#state.attempt, "SIGKILL");
  }

  #failed(failure: Failure, attempt: number): Result<void> {
    const waitMs = Math.min(backoff.maxMs, backoff.minMs * 2 ** Math.min(attempt, 16));
    if (this.#state.kind !== "waiting") this.#log.warn({ ...failure.facts }, "there is no resolver");
    this.#state = { kind: "waiting", retryAtMs: performance.now() + waitMs, attempt, failure };
    return { ok: false, failure };
  }

  /** A configuration that dnsmasq refuses changes nothing; one that it takes is put in place when the old one has ended. */
  async #write(files: ResolverFiles): Promise<Result<{ isNewConfig: boolean; areNewServers: boolean }>> {
    const { configFile, serversFile } = this.#paths;
    try {
      makeFolder(this.#folder);
      const isNewConfig = readFileIfThere(configFile) !== files.config;
      const areNewServers = readFileIfThere(serversFile) !== files.servers;
      if (isNewConfig) {
        const trial = `${configFile}.trial`;
        writeFileDurably(trial, files.config, 0o640);
        const tested = await this.#run(["dnsmasq", "--test", "-C", trial]);
        if (!tested.ok) return tested;
      }
      if (areNewServers) writeFileDurably(serversFile, files.servers, 0o640);
      return success({ isNewConfig, areNewServers });
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

function doesListen(address: string): Promise<Heard> {
  return ask({ server: address, from: address, name: livenessName, type: "NS", withinMs: answerWithinMs });
}
