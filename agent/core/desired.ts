import { limits } from "../../protocol/limits.ts";
import { Id, Name } from "../../protocol/names.ts";
import type { ConnectorSpec, PoolSpec, ResourceSpec, SessionSpec } from "../../protocol/specs.ts";
import {
  type AgentDesired,
  agentDesired,
  type Entry,
  parseEntry,
  splitKey,
  stateKey,
} from "../../protocol/state.ts";
import type { StoreBatch } from "./ports.ts";

/** A change as the link received it, whole. */
export interface DesiredUpdate {
  readonly snapshot: boolean;
  readonly set: ReadonlyMap<string, unknown>;
  readonly remove: readonly string[];
}

export type DesiredResult =
  | {
      readonly is: "applied";
      readonly sessions: {
        readonly set: readonly (readonly [string, SessionSpec])[];
        readonly over: readonly string[];
        readonly snapshot: boolean;
      };
      /** Kinds of which the change names any entry. */
      readonly kinds: ReadonlySet<string>;
      /** Entries of kinds that this version does not know; ignored. */
      readonly unknown: number;
    }
  /** Nothing of it was applied. */
  | { readonly is: "malformed"; readonly where: string }
  /** Nor of this: with it there would be more than `entriesMax`. */
  | { readonly is: "tooMany" };

export type RestartSpec = Extract<Entry<AgentDesired>, { kind: "restart" }>["value"];

/** What the controller wants this instance to be, typed; and which of it is not on disk yet. */
export class Desired {
  #connector: ConnectorSpec | undefined;
  #drain: { readonly sinceMs: number } | undefined;
  #restart: RestartSpec | undefined;
  /** BOUNDED: all maps together by `entriesMax`. */
  readonly #pools = new Map<string, PoolSpec>();
  readonly #resources = new Map<string, ResourceSpec>();
  readonly #sessions = new Map<string, SessionSpec>();
  #unsaved: { clear: boolean; readonly keys: Set<string> } = { clear: false, keys: new Set() };

  /** Takes over what was saved. Entries that this version cannot read are left out and counted. */
  restore(saved: ReadonlyMap<string, unknown>): { unreadable: number } {
    let unreadable = 0;
    for (const [key, value] of saved) {
      const parsed = parseEntry(agentDesired, key, value);
      if (parsed.is === "entry") this.#put(parsed.entry);
      else unreadable += 1;
    }
    return { unreadable };
  }

  /** All of the change or nothing. */
  apply(update: DesiredUpdate): DesiredResult {
    const entries: Entry<AgentDesired>[] = [];
    let unknown = 0;
    for (const [key, value] of update.set) {
      const parsed = parseEntry(agentDesired, key, value);
      if (parsed.is === "malformed") return parsed;
      if (parsed.is === "unknown") unknown += 1;
      else if (!isKeyRight(parsed.entry)) return { is: "malformed", where: `${key}: key` };
      else entries.push(parsed.entry);
    }
    const gone = update.snapshot ? [...this.#keys()].filter((key) => !update.set.has(key)) : update.remove;
    if (!update.snapshot && this.#sizeAfter(entries, gone) > limits.entriesMax) return { is: "tooMany" };
    if (update.snapshot) this.#unsaved = { clear: true, keys: new Set() };
    const over = gone.flatMap((key) => this.#delete(key));
    for (const entry of entries) {
      this.#put(entry);
      this.#unsaved.keys.add(stateKey(entry.kind, entry.id));
    }
    for (const key of gone) this.#unsaved.keys.add(key);
    const set = entries.flatMap((entry) =>
      entry.kind === "session" ? [[entry.id, entry.value] as const] : [],
    );
    const kinds = new Set([...entries.map(({ kind }) => kind), ...gone.map((key) => splitKey(key).kind)]);
    return { is: "applied", sessions: { set, over, snapshot: update.snapshot }, kinds, unknown };
  }

  get connector(): ConnectorSpec | undefined {
    return this.#connector;
  }

  get drain(): { readonly sinceMs: number } | undefined {
    return this.#drain;
  }

  get restart(): RestartSpec | undefined {
    return this.#restart;
  }

  get pools(): ReadonlyMap<string, PoolSpec> {
    return this.#pools;
  }

  get resources(): ReadonlyMap<string, ResourceSpec> {
    return this.#resources;
  }

  get sessions(): ReadonlyMap<string, SessionSpec> {
    return this.#sessions;
  }

  get isUnsaved(): boolean {
    return this.#unsaved.clear || this.#unsaved.keys.size > 0;
  }

  /** Hands over what must be written, once; give it back with `notSaved` when writing failed. */
  takeUnsaved(): StoreBatch["desired"] | undefined {
    if (!this.isUnsaved) return undefined;
    const { clear, keys } = this.#unsaved;
    this.#unsaved = { clear: false, keys: new Set() };
    const set: [string, unknown][] = [];
    const remove: string[] = [];
    for (const key of keys) {
      const value = this.#value(key);
      if (value !== undefined) set.push([key, value]);
      else remove.push(key);
    }
    return { clear, set, remove };
  }

  /** A later write then carries what these keys are at that time. */
  notSaved(batch: StoreBatch["desired"]): void {
    if (batch.clear) {
      this.#unsaved = { clear: true, keys: new Set(this.#keys()) };
      return;
    }
    for (const [key] of batch.set) this.#unsaved.keys.add(key);
    for (const key of batch.remove) this.#unsaved.keys.add(key);
  }

  #sizeAfter(entries: readonly Entry<AgentDesired>[], gone: readonly string[]): number {
    const isHeld = (key: string) => this.#value(key) !== undefined;
    const added = entries.filter(({ kind, id }) => !isHeld(stateKey(kind, id))).length;
    const held = this.#pools.size + this.#resources.size + this.#sessions.size;
    return held + added - gone.filter(isHeld).length;
  }

  *#keys(): Iterable<string> {
    if (this.#connector !== undefined) yield stateKey("connector");
    if (this.#drain !== undefined) yield stateKey("drain");
    if (this.#restart !== undefined) yield stateKey("restart");
    for (const id of this.#pools.keys()) yield stateKey("pool", id);
    for (const id of this.#resources.keys()) yield stateKey("resource", id);
    for (const id of this.#sessions.keys()) yield stateKey("session", id);
  }

  #value(key: string): unknown {
    const { kind, id } = splitKey(key);
    switch (kind as keyof AgentDesired) {
      case "connector":
        return this.#connector;
      case "drain":
        return this.#drain;
      case "restart":
        return this.#restart;
      case "pool":
        return this.#pools.get(id);
      case "resource":
        return this.#resources.get(id);
      case "session":
        return this.#sessions.get(id);
    }
  }

  #put(entry: Entry<AgentDesired>): void {
    switch (entry.kind) {
      case "connector":
        this.#connector = entry.value;
        return;
      case "drain":
        this.#drain = entry.value;
        return;
      case "restart":
        this.#restart = entry.value;
        return;
      case "pool":
        this.#pools.set(entry.id, entry.value);
        return;
      case "resource":
        this.#resources.set(entry.id, entry.value);
        return;
      case "session":
        this.#sessions.set(entry.id, entry.value);
    }
  }

  /** The session that ended by this, if any. A key that is not held is none of our business. */
  #delete(key: string): string[] {
    const { kind, id } = splitKey(key);
    switch (kind as keyof AgentDesired) {
      case "connector":
        this.#connector = undefined;
        return [];
      case "drain":
        this.#drain = undefined;
        return [];
      case "restart":
        this.#restart = undefined;
        return [];
      case "pool":
        this.#pools.delete(id);
        return [];
      case "resource":
        this.#resources.delete(id);
        return [];
      case "session":
        return this.#sessions.delete(id) ? [id] : [];
    }
    return [];
  }
}

/** There is one connector, one drain and one restart, and any number of pools, resources and sessions. */
function isKeyRight(entry: Entry<AgentDesired>): boolean {
  switch (entry.kind) {
    case "connector":
    case "drain":
    case "restart":
      return entry.id === "";
    case "pool":
    case "resource":
      return Name.safeParse(entry.id).success;
    case "session":
      return Id.safeParse(entry.id).success;
  }
}
