import { randomUUID } from "node:crypto";
import { makers } from "../../controller/adapters/makers.ts";
import type { AdminCommand, CommandResults } from "../../controller/core/admin.ts";
import { ControllerCore } from "../../controller/core/core.ts";
import type { ControllerEffect, ControllerInput, LinkId } from "../../controller/core/effects.ts";
import type { DocumentVerdict, Saved } from "../../controller/core/ports.ts";
import { type AuditDraft, type Plan, tableNames } from "../../controller/core/rows.ts";
import { type CoreSettings, coreDefaults } from "../../controller/core/settings.ts";
import type { CloseName } from "../../protocol/close.ts";
import type { FailureCode, Result } from "../../protocol/failures.ts";
import type { ClientMessage, ControllerMessage, Enrol } from "../../protocol/messages.ts";

const wallStartMs = Date.UTC(2026, 0, 1);

/** A store in memory that can be held, failed, and read back as after a crash. */
export class MemoryStore {
  readonly #tables = new Map<string, Map<string, unknown>>(tableNames.map((name) => [name, new Map()]));
  readonly audit: AuditDraft[] = [];
  readonly controllerId = randomUUID();
  commits = 0;

  commit({ changes, audit }: Plan): void {
    this.commits += 1;
    for (const change of changes) {
      const table = this.#tables.get(change.table);
      if ("put" in change) table?.set("id" in change.put ? change.put.id : change.put.name, change.put);
      else table?.delete(change.remove);
    }
    this.audit.push(...audit);
  }

  saved(): Saved {
    const tables = [...this.#tables].map(([name, rows]) => [name, [...rows.values()]]);
    return { ...Object.fromEntries(tables), controllerId: this.controllerId } as Saved;
  }
}

/** The core with a clock, a store and links that the test moves by hand. */
export class Harness {
  core: ControllerCore;
  store: MemoryStore;
  monotonicMs = 1_000;
  /** Why the next writes fail; `hold` keeps them waiting. */
  failing: FailureCode | undefined;
  isHolding = false;
  readonly held: (ControllerEffect & { do: "store" })[] = [];
  /** The verdict of the adapter that knows the certificates, by document text. */
  readonly verdicts = new Map<string, DocumentVerdict>();
  readonly sent = new Map<LinkId, ControllerMessage[]>();
  readonly closed = new Map<LinkId, CloseName>();
  readonly told: (ControllerEffect & { do: "tell" })[] = [];
  readonly answers = new Map<number, Result<unknown>>();
  readonly onMessage = new Map<LinkId, (message: ControllerMessage) => void>();
  readonly #settings: CoreSettings;
  #links = 0;
  #commands = 0;
  #inputs: ControllerInput[] = [];
  #isRunning = false;

  constructor(settings: Partial<CoreSettings> = {}, store = new MemoryStore()) {
    this.#settings = { ...coreDefaults, ...settings };
    this.store = store;
    this.core = this.#makeCore();
  }

  get now() {
    return { monotonicMs: this.monotonicMs, wallMs: wallStartMs + this.monotonicMs };
  }

  get wallMs(): number {
    return this.now.wallMs;
  }

  get views() {
    return this.core.viewsAt(this.now);
  }

  /** The process dies and comes back: only what is stored is left. */
  restart(): void {
    this.held.length = 0;
    this.#inputs = [];
    this.onMessage.clear();
    this.core = this.#makeCore();
  }

  post(...inputs: ControllerInput[]): void {
    this.#inputs.push(...inputs);
    if (this.#isRunning) return;
    this.#isRunning = true;
    for (let input = this.#inputs.shift(); input !== undefined; input = this.#inputs.shift()) {
      for (const effect of this.core.handle(input, this.now)) this.#perform(effect);
    }
    this.#isRunning = false;
  }

  /** Lets time pass, with every tick the core asked for. */
  pass(ms: number): void {
    const endMs = this.monotonicMs + ms;
    for (let turns = 0; turns < 100_000; turns++) {
      const next = this.core.nextDeadline();
      if (next === undefined || next > endMs) break;
      this.monotonicMs = Math.max(this.monotonicMs, next);
      this.post({ kind: "tick" });
    }
    this.monotonicMs = endMs;
    this.post({ kind: "tick" });
  }

  connect(address = "192.0.2.1"): LinkId {
    const link = ++this.#links;
    this.sent.set(link, []);
    this.post({ kind: "connected", link, address });
    return link;
  }

  say(link: LinkId, message: ClientMessage): void {
    this.post({ kind: "received", link, message });
  }

  heard<Type extends ControllerMessage["type"]>(link: LinkId, type: Type) {
    const messages = this.sent.get(link) ?? [];
    return messages.filter((message) => message.type === type) as Extract<
      ControllerMessage,
      { type: Type }
    >[];
  }

  refusal(link: LinkId): string | undefined {
    return this.heard(link, "refused").at(-1)?.code;
  }

  ask<C extends AdminCommand>(command: C, actor = "token:test"): Result<CommandResults[C["command"]]> {
    const answer = this.answers.get(this.begin(command, actor));
    if (answer === undefined) throw new Error(`no answer to ${command.command}`);
    return answer as Result<CommandResults[C["command"]]>;
  }

  /** The answer of a command that must work. */
  do<C extends AdminCommand>(command: C): CommandResults[C["command"]] {
    const answer = this.ask(command);
    if (!answer.ok) throw answer.failure;
    return answer.value;
  }

  /** The code with which a command is refused. */
  refused(command: AdminCommand): FailureCode | undefined {
    const answer = this.ask(command);
    return answer.ok ? undefined : answer.failure.code;
  }

  begin(command: AdminCommand, actor = "token:test"): number {
    const commandId = ++this.#commands;
    this.post({ kind: "command", commandId, command, actor });
    return commandId;
  }

  /** Lets held writes go on, one after the other. */
  release(): void {
    this.isHolding = false;
    for (let effect = this.held.shift(); effect !== undefined; effect = this.held.shift())
      this.#store(effect);
  }

  #makeCore(): ControllerCore {
    return new ControllerCore({
      saved: this.store.saved(),
      settings: this.#settings,
      makers,
      now: this.now,
    });
  }

  #perform(effect: ControllerEffect): void {
    switch (effect.do) {
      case "send":
        this.sent.get(effect.link)?.push(effect.message);
        this.onMessage.get(effect.link)?.(effect.message);
        break;
      case "close":
        this.closed.set(effect.link, effect.close);
        this.onMessage.delete(effect.link);
        break;
      case "trust":
        break;
      case "verify":
        this.#verify(effect.effectId, effect.signature, effect.document);
        break;
      case "store":
        if (this.isHolding) this.held.push(effect);
        else this.#store(effect);
        break;
      case "answer":
        this.answers.set(effect.commandId, effect.result);
        break;
      case "tell":
        this.told.push(effect);
        break;
    }
  }

  /** A signature of all `x` is a wrong one. */
  #verify(
    effectId: number,
    signature: string,
    document: Pick<Enrol, "document" | "documentSignature"> | undefined,
  ): void {
    const verdict = document === undefined ? undefined : this.verdicts.get(document.document);
    this.post({ kind: "verified", effectId, proven: !/^x+$/.test(signature), document: verdict });
  }

  #store({ effectId, plan }: ControllerEffect & { do: "store" }): void {
    if (this.failing !== undefined) {
      this.post({ kind: "storeFailed", effectId, why: this.failing, facts: {} });
      return;
    }
    this.store.commit(plan);
    this.post({ kind: "stored", effectId });
  }
}
