import type { StateFrame } from "../../protocol/messages.ts";
import { type AgentObserved, type Entry, splitKey, stateKey } from "../../protocol/state.ts";
import { StateSender, type StateSource } from "../../protocol/sync.ts";
import type { Leases } from "./leases.ts";

type Value<Kind extends keyof AgentObserved> = Extract<Entry<AgentObserved>, { kind: Kind }>["value"];

/**
 * What the controller is told about this instance. Values are read where they live when a frame is built; only the two
 * that are derived from everything are remembered, to see whether they changed.
 */
export class Report implements StateSource {
  readonly #leases: Leases;
  readonly #sender: StateSender = new StateSender(this);
  #instance: Value<"instance"> | undefined;
  #prefixes: Value<"prefixes"> | undefined;
  /** Of both, for the comparison at every turn: equal values were built by the same code and have equal text. */
  readonly #texts: { instance: string | undefined; prefixes: string | undefined } = {
    instance: undefined,
    prefixes: undefined,
  };
  #arePrefixesAwaited = true;

  constructor(leases: Leases) {
    this.#leases = leases;
  }

  *keys(): Iterable<string> {
    if (this.#instance !== undefined) yield stateKey("instance");
    if (this.#prefixes !== undefined) yield stateKey("prefixes");
    for (const name of this.#leases.poolNames()) yield stateKey("pool", name);
    for (const id of this.#leases.sessionIds()) yield stateKey("session", id);
    for (const key of this.#leases.detachedKeys()) yield stateKey("lease", key);
  }

  get(key: string): unknown {
    const { kind, id } = splitKey(key);
    switch (kind as keyof AgentObserved) {
      case "instance":
        return this.#instance;
      case "prefixes":
        return this.#prefixes;
      case "pool":
        return this.#leases.counts(id);
      case "session":
        return this.#outcome(id);
      case "lease":
        return this.#leases.detached(id);
    }
  }

  setInstance(instance: Value<"instance">): void {
    const text = JSON.stringify(instance);
    if (text === this.#texts.instance) return;
    this.#texts.instance = text;
    this.#instance = instance;
    this.#sender.touch(stateKey("instance"));
  }

  setPrefixes(prefixes: Value<"prefixes"> | undefined, areAwaited: boolean): void {
    if (areAwaited !== this.#arePrefixesAwaited) {
      this.#arePrefixesAwaited = areAwaited;
      this.#touchSessions();
    }
    const text = JSON.stringify(prefixes);
    if (text === this.#texts.prefixes) return;
    this.#texts.prefixes = text;
    // What was left open for want of a reading can be said now.
    if (this.#prefixes === undefined) this.#touchSessions();
    this.#prefixes = prefixes;
    this.#sender.touch(stateKey("prefixes"));
  }

  leasesChanged(changed: {
    sessions: readonly string[];
    leases: readonly string[];
    pools: readonly string[];
  }): void {
    for (const id of changed.sessions) this.#sender.touch(stateKey("session", id));
    for (const key of changed.leases) this.#sender.touch(stateKey("lease", key));
    for (const name of changed.pools) this.#sender.touch(stateKey("pool", name));
  }

  connect(): void {
    this.#sender.connect();
  }

  disconnect(): void {
    this.#sender.disconnect();
  }

  acked(revision: number): void {
    this.#sender.acked(revision);
  }

  resync(): void {
    this.#sender.resync();
  }

  frames(nowMs: number): StateFrame[] {
    return this.#sender.frames(nowMs);
  }

  nextDeadline(): number | undefined {
    return this.#sender.nextDeadline();
  }

  /**
   * Before the first reading no range is verified, and after a lost database there is none of before to go by: a refusal
   * would move users whom the reading serves a moment later. Nor does a reading that failed end what was granted before:
   * the data path is left as it is until one succeeds.
   */
  #outcome(session: string): Value<"session"> | undefined {
    const outcome = this.#leases.outcome(session);
    if (this.#arePrefixesAwaited && outcome?.outcome !== "granted") return undefined;
    const isInDoubt = outcome?.outcome === "ended" && outcome.code === "lease.quarantined";
    return isInDoubt && this.#prefixes === undefined ? undefined : outcome;
  }

  #touchSessions(): void {
    for (const id of this.#leases.sessionIds()) this.#sender.touch(stateKey("session", id));
  }
}
