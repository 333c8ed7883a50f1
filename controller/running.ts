import type { Server } from "node:http";
import { type Failure, failed, type Result } from "../protocol/failures.ts";
import { Driver } from "../protocol/node/driver.ts";
import { verifyText } from "../protocol/node/keys.ts";
import type { Logger } from "../protocol/node/log.ts";
import type { Clock } from "../protocol/time.ts";
import { documentVerdict } from "./adapters/documents.ts";
import { LinkServer, type LinkServerOptions } from "./adapters/link-server.ts";
import type { ControllerCore } from "./core/core.ts";
import type { ControllerEffect, ControllerInput } from "./core/effects.ts";
import type { Store } from "./core/ports.ts";

export interface RunningOptions {
  readonly log: Logger;
  readonly clock: Clock;
  readonly awsCertificates: string;
  readonly handshakes?: LinkServerOptions["handshakes"];
}

/** Performs the core's effects. */
export class Running implements AsyncDisposable {
  readonly driver: Driver<ControllerInput, ControllerEffect>;
  readonly #store: Store;
  readonly #options: RunningOptions;
  readonly #answers = new Map<number, (result: Result<unknown>) => void>();
  #links: LinkServer | undefined;
  #commands = 0;
  #writing: Promise<void> | undefined;
  #storeProblem: Failure | undefined;

  constructor(core: ControllerCore, store: Store, options: RunningOptions) {
    this.#store = store;
    this.#options = options;
    this.driver = new Driver({
      core,
      perform: (effects) => {
        for (const effect of effects) this.#perform(effect);
      },
      tick: { kind: "tick" },
      clock: options.clock,
    });
  }

  serve(server: Server): void {
    const { log, handshakes, clock } = this.#options;
    const post = (input: ControllerInput) => this.driver.post(input);
    this.#links = new LinkServer({ server, post, log, clock, handshakes });
  }

  /** The last write failed, and with what. */
  get storeProblem(): Failure | undefined {
    return this.#storeProblem;
  }

  ask(input: Omit<ControllerInput & { kind: "command" }, "kind" | "commandId">): Promise<Result<unknown>> {
    const commandId = ++this.#commands;
    return new Promise((resolve) => {
      this.#answers.set(commandId, resolve);
      this.driver.post({ kind: "command", commandId, ...input });
    });
  }

  turn(): void {
    this.driver.post({ kind: "tick" });
    this.driver.flush();
  }

  /** Says on every link that the process restarts, so that nobody waits for a silence to end. */
  stop(): void {
    this.#links?.refuseNew();
    this.driver.post({ kind: "stop" });
    this.driver.flush();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // What was asked for before the stop is stored and answered.
    while (this.#writing !== undefined) {
      await this.#writing;
      this.driver.flush();
    }
    this.driver[Symbol.dispose]();
    this.#links?.[Symbol.dispose]();
    for (const resolve of this.#answers.values()) resolve(failed("link.restarting"));
  }

  #perform(effect: ControllerEffect): void {
    switch (effect.do) {
      case "send":
        this.#links?.send(effect.link, effect.message);
        break;
      case "close":
        this.#links?.close(effect.link, effect.close);
        break;
      case "trust":
        this.#links?.trust(effect.link, effect.role);
        break;
      case "verify":
        this.#verify(effect);
        break;
      case "store":
        this.#writing = this.#write(effect);
        break;
      case "answer":
        this.#answers.get(effect.commandId)?.(effect.result);
        this.#answers.delete(effect.commandId);
        break;
      case "tell":
        this.#options.log[effect.level](effect.facts, effect.text);
        break;
    }
  }

  #verify({ effectId, text, identityKey, signature, document }: ControllerEffect & { do: "verify" }): void {
    const proven = verifyText(identityKey, text, signature);
    const { awsCertificates, log } = this.#options;
    const verdict =
      proven && document !== undefined
        ? documentVerdict(awsCertificates, document.document, document.documentSignature, log)
        : undefined;
    this.driver.post({ kind: "verified", effectId, proven, document: verdict });
  }

  async #write({ effectId, plan }: ControllerEffect & { do: "store" }): Promise<void> {
    const result = await this.#store.commit(plan);
    this.#writing = undefined;
    if (result.ok) {
      this.#storeProblem = undefined;
      this.driver.post({ kind: "stored", effectId });
      return;
    }
    const { failure } = result;
    this.#storeProblem = failure;
    this.#options.log.error(
      { code: failure.code, hint: failure.hint, err: failure },
      "state cannot be stored",
    );
    this.driver.post({ kind: "storeFailed", effectId, why: failure.code, facts: failure.facts });
  }
}
