import type { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { type Failure, failed, type Result, success } from "../../failures.ts";
import type { WireguardChange, WireguardReading } from "../../wireguard.ts";
import type { Run } from "../command.ts";
import type { Logger } from "../log.ts";
import { deleteLink, linkKind } from "./kernel.ts";
import type { WireguardInterface } from "./port.ts";
import { controlSocketOf, UapiControl } from "./uapi.ts";
import { forgetFiles, killWireguardGo, startWireguardGo, trimLog } from "./wireguard-go.ts";

const restart = { minMs: 100, maxMs: 10_000 } as const;
/** A process that ran so long has not failed at its start: the next restart is at once again. */
const stableMs = 30_000;
/** Requests without an answer, one after the other, after which a process counts as hanging. */
const unansweredMax = 2;
const endsWithinMs = 1_000;

type State =
  | { readonly kind: "down" }
  | { readonly kind: "starting"; readonly done: Promise<Result<"made" | "adopted">> }
  /** `watch` closes when the process ends. */
  | { readonly kind: "running"; readonly watch: Socket; readonly sinceMs: number }
  | { readonly kind: "waiting"; readonly timer: NodeJS.Timeout; readonly why: string }
  | { readonly kind: "disposed" };

export interface UserspaceOptions {
  readonly name: string;
  readonly run: Run;
  /** Stands before the command, as `ip netns exec NAME` does. */
  readonly inside: readonly string[];
  readonly log: Logger;
  /** The process ended and a new one runs, empty: everything must be set again. */
  readonly onMade: () => void;
  /** How long a request may take. */
  readonly answerWithinMs?: number | undefined;
}

/** An interface carried by wireguard-go: started here, started anew when it ends, adopted when it runs already. */
export class UserspaceWireguard implements WireguardInterface {
  readonly name: string;
  readonly backend = "userspace";
  readonly #options: UserspaceOptions;
  readonly #control: UapiControl;
  #state: State = { kind: "down" };
  /** Starts in a row that did not last. */
  #failedStarts = 0;
  #unanswered = 0;

  constructor(options: UserspaceOptions) {
    this.name = options.name;
    this.#options = options;
    this.#control = new UapiControl(controlSocketOf(options.name), options.answerWithinMs);
  }

  async ensure(): Promise<Result<"made" | "adopted">> {
    const state = this.#state;
    switch (state.kind) {
      case "running":
        return this.#confirm();
      case "starting":
        return state.done;
      case "waiting":
        return this.#failed(`ended, and is started again shortly: ${state.why}`);
      case "disposed":
        return this.#failed("let go of");
      case "down": {
        const done = this.#start();
        this.#state = { kind: "starting", done };
        return done;
      }
    }
  }

  async apply(change: WireguardChange): Promise<Result<void>> {
    return this.#noteAnswer(await this.#control.apply(change));
  }

  async read(): Promise<Result<WireguardReading>> {
    trimLog(this.name);
    return this.#noteAnswer(await this.#control.read());
  }

  async remove(): Promise<Result<void>> {
    if (this.#state.kind === "starting") await this.#state.done;
    this.#leave({ kind: "down" });
    const deleted = await deleteLink(this.name, this.#options.run);
    const deadlineMs = performance.now() + endsWithinMs;
    while (await this.#answers()) {
      const lateMs = performance.now() - deadlineMs;
      if (lateMs > endsWithinMs) return this.#failed("its process does not end");
      if (lateMs > 0) await this.#kill();
      await sleep(10);
    }
    return forgetFiles(this.name) ?? deleted;
  }

  /** Leaves the process running. */
  [Symbol.dispose](): void {
    this.#leave({ kind: "disposed" });
  }

  async #start(): Promise<Result<"made" | "adopted">> {
    let running = await this.#control.watch().catch(() => undefined);
    if (running !== undefined) {
      const confirmed = await this.#hasLink();
      if (!confirmed.ok) {
        running.destroy();
        if (this.#state.kind === "starting") this.#state = { kind: "down" };
        return confirmed;
      }
      // It ended meanwhile, and nothing would tell of it any more.
      if (running.destroyed) running = undefined;
    }
    const started =
      running === undefined
        ? await startWireguardGo(this.name, this.#options.inside, this.#control)
        : success(running);
    if (this.#state.kind !== "starting" && started.ok) {
      started.value.destroy();
      return this.#failed("let go of");
    }
    if (!started.ok) {
      // Not by itself: whoever asked asks again.
      if (this.#state.kind === "starting") this.#state = { kind: "down" };
      return started;
    }
    this.#runs(started.value);
    return success(running === undefined ? "made" : "adopted");
  }

  async #confirm(): Promise<Result<"adopted">> {
    const confirmed = await this.#hasLink();
    return confirmed.ok ? success("adopted") : confirmed;
  }

  /**
   * A process answers by its name though its interface has another one by now, or is in another network namespace. Ours is
   * ended, and with it the interface of the other name; another namespace's is none of our business.
   */
  async #hasLink(): Promise<Result<void>> {
    const kind = await linkKind(this.name, this.#options.run);
    if (!kind.ok) return kind;
    if (kind.value === "tun") return success(undefined);
    await this.#kill();
    return this.#failed("its process has no interface of this name here");
  }

  #runs(watch: Socket): void {
    this.#state = { kind: "running", watch, sinceMs: performance.now() };
    watch.once("close", () => this.#ended(watch));
    // Watching keeps no program alive.
    watch.unref();
  }

  #ended(watch: Socket): void {
    const state = this.#state;
    if (state.kind !== "running" || state.watch !== watch) return;
    if (performance.now() - state.sinceMs >= stableMs) this.#failedStarts = 0;
    this.#options.log.warn({ interface: this.name }, "wireguard-go ended, starting it again");
    this.#startLater("the process ended");
  }

  #startLater(why: string): void {
    const waitMs = Math.min(restart.maxMs, restart.minMs * 2 ** this.#failedStarts);
    this.#failedStarts = Math.min(this.#failedStarts + 1, 16);
    const timer = setTimeout(() => void this.#startAgain(), waitMs * (0.8 + 0.4 * Math.random()));
    this.#state = { kind: "waiting", timer, why };
  }

  async #startAgain(): Promise<void> {
    this.#state = { kind: "down" };
    const started = await this.ensure();
    if (started.ok) {
      this.#options.onMade();
      return;
    }
    // Asked for by somebody else meanwhile, or disposed of.
    if (this.#state.kind !== "down") return;
    this.#options.log.warn({ ...started.failure.facts, interface: this.name }, "wireguard-go does not start");
    this.#startLater(String(started.failure.facts.error));
  }

  /** A process that accepts requests and answers none carries no traffic either. Its end starts another. */
  #noteAnswer<T>(result: Result<T>): Result<T> {
    const isSilent = !result.ok && String(result.failure.facts.error).startsWith("no answer");
    this.#unanswered = isSilent ? this.#unanswered + 1 : 0;
    if (this.#unanswered < unansweredMax) return result;
    this.#unanswered = 0;
    this.#options.log.warn({ interface: this.name }, "wireguard-go does not answer, killing it");
    void this.#kill();
    return result;
  }

  #leave(next: State): void {
    const state = this.#state;
    this.#state = next;
    if (state.kind === "running") state.watch.destroy();
    if (state.kind === "waiting") clearTimeout(state.timer);
  }

  async #kill(): Promise<void> {
    const namespace = await this.#options.run(["readlink", "/proc/self/ns/net"]);
    if (namespace.ok) killWireguardGo(this.name, namespace.value.trim());
  }

  async #answers(): Promise<boolean> {
    const watch = await this.#control.watch().catch(() => undefined);
    watch?.destroy();
    return watch !== undefined;
  }

  #failed(error: string): { ok: false; failure: Failure } {
    return failed("datapath.failing", { command: `wireguard-go ${this.name}`, error });
  }
}
