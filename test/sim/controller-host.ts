import type { AdminCommand } from "../../controller/core/admin.ts";
import { ControllerCore } from "../../controller/core/core.ts";
import type { ControllerEffect, ControllerInput } from "../../controller/core/effects.ts";
import type { DocumentVerdict, Saved } from "../../controller/core/ports.ts";
import { type Plan, type TableName, type Tables, tableNames } from "../../controller/core/rows.ts";
import { type CoreSettings, coreDefaults } from "../../controller/core/settings.ts";
import type { FailureCode, Result } from "../../protocol/failures.ts";
import type { Agenda } from "./agenda.ts";
import { countingMakers, sign } from "./makers.ts";
import type { Network } from "./network.ts";
import { Process, type Watch } from "./process.ts";
import type { Random } from "./random.ts";

const wallStartMs = Date.UTC(2026, 0, 1);

/** The tables of the controller, on a disk. */
export class DiskTables {
  readonly #tables = new Map<TableName, Map<string, Tables[TableName]>>(
    tableNames.map((name) => [name, new Map()]),
  );

  all<Name extends TableName>(name: Name): Tables[Name][] {
    return [...(this.#tables.get(name)?.values() ?? [])] as Tables[Name][];
  }

  get<Name extends TableName>(name: Name, key: string): Tables[Name] | undefined {
    return this.#tables.get(name)?.get(key) as Tables[Name] | undefined;
  }

  apply({ changes }: Plan): void {
    for (const change of changes) {
      const table = this.#tables.get(change.table);
      if ("put" in change) table?.set("id" in change.put ? change.put.id : change.put.name, change.put);
      else table?.delete(change.remove);
    }
  }

  copy(): DiskTables {
    const copy = new DiskTables();
    for (const [name, rows] of this.#tables) copy.#tables.set(name, new Map(rows));
    return copy;
  }

  saved(): Saved {
    const tables = tableNames.map((name) => [name, this.all(name)]);
    return { ...Object.fromEntries(tables), controllerId: "00000000-0000-4000-8000-000000000000" } as Saved;
  }
}

export interface StoreFault {
  readonly is: "failing" | "slow";
  readonly why: FailureCode;
}

export interface ControllerWatcher extends Watch<ControllerInput, ControllerEffect> {
  started(): void;
  /** It will start with tables of an earlier time. */
  restored(tables: DiskTables): void;
  /** Before the plan is on disk. */
  committing(plan: Plan, tables: DiskTables): void;
  committed(plan: Plan, tables: DiskTables): void;
  answered(command: AdminCommand, result: Result<unknown>): void;
}

/** The controller's host: the core, its store and its links. */
export class ControllerHost {
  tables = new DiskTables();
  fault: StoreFault | undefined;
  process: Process<ControllerInput, ControllerEffect> | undefined;
  starts = 0;
  /** When it last began anew with tables of an earlier time. */
  restoredAtMs = Number.NEGATIVE_INFINITY;
  /** What the wall clock was set to, against the true time. */
  wallOffsetMs = 0;
  readonly #agenda: Agenda;
  readonly #random: Random;
  readonly #network: Network;
  readonly #settings: CoreSettings;
  readonly #makers = countingMakers();
  readonly #answers = new Map<number, (result: Result<unknown>) => void>();
  readonly #watcher: ControllerWatcher;
  /** The write that is on its way: a crash may find it on disk or not. */
  #writing: Plan | undefined;
  #commands = 0;

  constructor(options: {
    agenda: Agenda;
    random: Random;
    network: Network;
    settings: Partial<CoreSettings>;
    watcher: ControllerWatcher;
  }) {
    this.#agenda = options.agenda;
    this.#random = options.random;
    this.#network = options.network;
    this.#settings = { ...coreDefaults, ...options.settings };
    this.#watcher = options.watcher;
  }

  get core(): ControllerCore | undefined {
    return this.process?.core as ControllerCore | undefined;
  }

  get now() {
    const { nowMs } = this.#agenda;
    return { monotonicMs: nowMs + 1_000_000.25, wallMs: wallStartMs + nowMs + this.wallOffsetMs };
  }

  start(): void {
    if (this.process !== undefined) return;
    this.starts += 1;
    const core = new ControllerCore({
      saved: this.tables.saved(),
      settings: this.#settings,
      makers: this.#makers,
      now: this.now,
    });
    const process = new Process<ControllerInput, ControllerEffect>({
      agenda: this.#agenda,
      core,
      perform: (effects) => {
        for (const effect of effects) this.#perform(effect, process);
      },
      tick: { kind: "tick" },
      clock: () => this.now,
      watch: this.#watcher,
    });
    this.process = process;
    this.#watcher.started();
    this.#network.server = {
      connected: (link, address) => process.post({ kind: "connected", link, address }),
      received: (link, message) => process.post({ kind: "received", link, message }),
      disconnected: (link) => process.post({ kind: "disconnected", link }),
    };
  }

  /** `isWritten`: what was on its way to the disk has reached it. */
  kill(isWritten: boolean): void {
    if (this.process === undefined) return;
    this.process.kill();
    this.process = undefined;
    if (isWritten && this.#writing !== undefined) this.#commit(this.#writing);
    this.#writing = undefined;
    this.#answers.clear();
    this.#network.serverDied();
  }

  /** From a backup: what was stored since is forgotten. */
  restore(tables: DiskTables): void {
    this.kill(false);
    this.tables = tables;
    this.restoredAtMs = this.#agenda.nowMs;
    this.#watcher.restored(tables);
    this.start();
  }

  ask(command: AdminCommand, then: (result: Result<unknown>) => void = () => {}): void {
    const commandId = ++this.#commands;
    this.#answers.set(commandId, (result) => {
      this.#watcher.answered(command, result);
      then(result);
    });
    this.process?.post({ kind: "command", commandId, command, actor: "token:sim" });
  }

  #perform(effect: ControllerEffect, process: Process<ControllerInput, ControllerEffect>): void {
    switch (effect.do) {
      case "send":
        this.#network.fromServer(effect.link, effect.message);
        return;
      case "close":
        this.#network.closeFromServer(effect.link, effect.close);
        return;
      case "trust":
      case "tell":
        return;
      case "verify":
        process.post(this.#verified(effect));
        return;
      case "store":
        this.#store(effect, process);
        return;
      case "answer":
        this.#answers.get(effect.commandId)?.(effect.result);
        this.#answers.delete(effect.commandId);
    }
  }

  #verified(effect: ControllerEffect & { do: "verify" }): ControllerInput {
    const { effectId, text, identityKey, signature, document } = effect;
    const proven = signature === sign(text, identityKey);
    const verdict: DocumentVerdict | undefined =
      document === undefined ? undefined : { is: "genuine", claims: JSON.parse(document.document) };
    return { kind: "verified", effectId, proven, document: proven ? verdict : undefined };
  }

  #store(
    { effectId, plan }: ControllerEffect & { do: "store" },
    process: Process<ControllerInput, ControllerEffect>,
  ): void {
    const { fault } = this;
    if (this.#writing !== undefined) throw new Error("two writes of the controller are on their way");
    this.#writing = plan;
    const takesMs = fault?.is === "slow" ? this.#random.between(200, 3_000) : this.#random.between(0, 3);
    this.#agenda.after(takesMs, () => {
      if (!process.isRunning) return;
      this.#writing = undefined;
      if (fault?.is === "failing") {
        process.post({ kind: "storeFailed", effectId, why: fault.why, facts: {} });
        return;
      }
      this.#commit(plan);
      process.post({ kind: "stored", effectId });
    });
  }

  #commit(plan: Plan): void {
    this.#watcher.committing(plan, this.tables);
    this.tables.apply(plan);
    this.#watcher.committed(plan, this.tables);
  }
}
