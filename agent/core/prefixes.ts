import { contains, type Prefix, parsePrefix } from "../../protocol/address.ts";
import type { FailureCode } from "../../protocol/failures.ts";
import type { Ipv6PoolMatch } from "../../protocol/specs.ts";
import type { AgentObserved, Entry } from "../../protocol/state.ts";
import type { Instant } from "../../protocol/time.ts";
import type { PrefixRow } from "../../protocol/view.ts";
import type { Problem } from "./conditions.ts";
import type { InterfaceFacts, Pools, PrefixReading } from "./ports.ts";
import { type ConfiguredRange, rangeFault, rangesOf } from "./ranges.ts";

/** A prefix counts as gone after so many known readings in a row without it … */
const missesMax = 3;
/** … that lie at least so far apart, ms: the metadata service lags and flaps for seconds after a change. */
const readingsApartMs = 5_000;

/** What is kept on disk: the prefixes that count as assigned, and those whose loss has been decided. */
export interface SavedPrefixes {
  readonly assigned: readonly string[];
  readonly vanished: readonly string[];
  /** Undefined when they were never told. */
  readonly vpcCidrs?: readonly string[] | undefined;
  readonly readAtMs: number;
}

/** A prefix of the interface: in the latest reading, or missing from some. */
type Assigned =
  | { readonly prefix: Prefix; readonly state: "present" }
  | {
      readonly prefix: Prefix;
      readonly state: "missing";
      readonly misses: number;
      readonly missedAtMs: number;
    };

type Verdict = "ok" | FailureCode;
type ObservedPrefixes = Extract<Entry<AgentObserved>, { kind: "prefixes" }>["value"];

/**
 * Which of the configured ranges AWS routes to this instance. A reading that failed says nothing; a prefix that
 * appears counts at once; one that is missing counts as gone only after several readings agree.
 */
export class Prefixes {
  /** BOUNDED: prefixes of one reading, and those of earlier ones until they are decided. */
  readonly #assigned = new Map<string, Assigned>();
  /** BOUNDED: by the configured ranges. Lost while configured. */
  readonly #vanished = new Set<string>();
  #ranges: readonly ConfiguredRange[] = [];
  /** Derived from everything else whenever that changes: asked for far more often. */
  #verdicts = new Map<ConfiguredRange, Verdict>();
  #verified: ReadonlySet<string> = new Set();
  #unused: readonly (readonly [text: string, assigned: Assigned])[] = [];
  #match: Ipv6PoolMatch = "exact";
  #interface: InterfaceFacts | undefined;
  /** As they were told last. Nothing here depends on them: they are for the controller. */
  #vpcCidrs: readonly string[] | undefined;
  #readAtMs: number | undefined;
  #unknown: Extract<PrefixReading, { is: "unknown" }> | undefined;
  #read: { readonly effectId: number | undefined; readonly dueAtMs: number } = {
    effectId: undefined,
    dueAtMs: 0,
  };
  #effects = 0;

  constructor(saved?: SavedPrefixes) {
    if (saved === undefined) return;
    for (const text of saved.assigned) {
      const prefix = parsePrefix(text);
      if (prefix.ok) this.#assigned.set(text, { prefix: prefix.value, state: "present" });
    }
    for (const text of saved.vanished) this.#vanished.add(text);
    this.#vpcCidrs = saved.vpcCidrs;
    this.#readAtMs = saved.readAtMs;
  }

  configure(pools: Pools, match: Ipv6PoolMatch): void {
    this.#ranges = rangesOf(pools);
    this.#match = match;
    const configured = new Set(this.#ranges.map(({ text }) => text));
    for (const text of this.#vanished) if (!configured.has(text)) this.#vanished.delete(text);
    this.#judge();
  }

  /** The schedule or a person asks for a reading. */
  demand(): void {
    this.#read = { ...this.#read, dueAtMs: 0 };
  }

  /** The number of the reading to start now: one at a time. */
  next(now: Instant): number | undefined {
    if (this.#read.effectId !== undefined || now.monotonicMs < this.#read.dueAtMs) return undefined;
    const effectId = ++this.#effects;
    this.#read = { effectId, dueAtMs: Number.POSITIVE_INFINITY };
    return effectId;
  }

  /** Takes a reading; one that nobody waits for any more is dropped. */
  take(effectId: number, reading: PrefixReading, now: Instant): void {
    if (this.#read.effectId !== effectId) return;
    this.#look(reading, now);
    this.#judge();
    const soonMs = this.#isSettled() ? Number.POSITIVE_INFINITY : now.monotonicMs + readingsApartMs;
    this.#read = { effectId: undefined, dueAtMs: Math.min(soonMs, this.#read.dueAtMs) };
  }

  /** Nothing was ever read, and no reading has failed since the start either. */
  get areAwaited(): boolean {
    return this.#readAtMs === undefined && this.#unknown === undefined;
  }

  get saved(): SavedPrefixes | undefined {
    if (this.#readAtMs === undefined) return undefined;
    return {
      assigned: [...this.#assigned.keys()],
      vanished: [...this.#vanished],
      vpcCidrs: this.#vpcCidrs,
      readAtMs: this.#readAtMs,
    };
  }

  /** The facts of the interface at the latest known reading; none yet after a restart. */
  get interface(): InterfaceFacts | undefined {
    return this.#interface;
  }

  /** The prefixes that count as assigned, as the controller is told them; undefined before the first known reading. */
  get observed(): ObservedPrefixes | undefined {
    if (this.#readAtMs === undefined) return undefined;
    const of = (family: 4 | 6) =>
      [...this.#assigned].filter(([, { prefix }]) => prefix.family === family).map(([text]) => text);
    const vpcCidrs = this.#vpcCidrs && [...this.#vpcCidrs];
    return { ipv4: of(4), ipv6: of(6), vpcCidrs, readAtMs: this.#readAtMs };
  }

  /** The configured ranges, by their text, that addresses may be leased from. The same set until it changes. */
  get verified(): ReadonlySet<string> {
    return this.#verified;
  }

  rows(routed: ReadonlySet<string> | undefined): PrefixRow[] {
    const dataPath = (text: string): PrefixRow["dataPath"] =>
      routed === undefined ? "unknown" : routed.has(text) ? "routed" : "absent";
    const configured = [...this.#verdicts].map(([range, verdict]) => ({
      prefix: range.text,
      pool: range.pool,
      imds: this.#seen(range),
      dataPath: dataPath(range.text),
      verdict,
    }));
    const unused = this.#unused.map(([text, assigned]) => ({
      prefix: text,
      imds: assigned.state,
      dataPath: dataPath(text),
      verdict: "prefix.unused",
    }));
    return [...configured, ...unused] satisfies PrefixRow[];
  }

  problems(): Problem[] {
    const problems: Problem[] = [];
    if (this.#unknown !== undefined) {
      problems.push({ code: this.#unknown.why, facts: this.#unknown.facts });
    }
    for (const [range, verdict] of this.#verdicts) {
      if (verdict === "ok") continue;
      problems.push({ code: verdict, subject: range.text, facts: { pool: range.pool, prefix: range.text } });
    }
    for (const [text] of this.#unused) {
      problems.push({ code: "prefix.unused", subject: text, facts: { prefix: text } });
    }
    return problems;
  }

  /** When to read, ahead of the schedule while something is not settled; monotonic ms. */
  nextDeadline(): number | undefined {
    const { effectId, dueAtMs } = this.#read;
    return effectId === undefined && Number.isFinite(dueAtMs) ? dueAtMs : undefined;
  }

  #isSettled(): boolean {
    return (
      this.#unknown === undefined && [...this.#assigned.values()].every(({ state }) => state === "present")
    );
  }

  #look(reading: PrefixReading, now: Instant): void {
    switch (reading.is) {
      case "unknown":
        this.#unknown = reading;
        return;
      case "known":
        this.#unknown = undefined;
        this.#readAtMs = now.wallMs;
        this.#interface = reading.interface;
        this.#vpcCidrs = reading.interface.vpcCidrs ?? this.#vpcCidrs;
        this.#compare([...reading.ipv4, ...reading.ipv6], now);
    }
  }

  #compare(texts: readonly string[], now: Instant): void {
    const read = new Set<string>();
    for (const text of texts) {
      const prefix = parsePrefix(text);
      if (!prefix.ok) continue;
      read.add(prefix.value.text);
      this.#assigned.set(prefix.value.text, { prefix: prefix.value, state: "present" });
    }
    for (const range of this.#ranges) if (this.#seen(range) === "present") this.#vanished.delete(range.text);
    for (const [text, assigned] of this.#assigned) {
      if (read.has(text)) continue;
      if (assigned.state === "missing" && now.monotonicMs < assigned.missedAtMs + readingsApartMs) continue;
      const misses = assigned.state === "missing" ? assigned.misses + 1 : 1;
      const { prefix } = assigned;
      if (misses < missesMax) {
        this.#assigned.set(text, { prefix, state: "missing", misses, missedAtMs: now.monotonicMs });
      } else this.#lose(text, prefix);
    }
  }

  #lose(text: string, prefix: Prefix): void {
    this.#assigned.delete(text);
    for (const range of this.#ranges) {
      if (range.prefix !== undefined && contains(prefix, range.prefix)) this.#vanished.add(range.text);
    }
  }

  #judge(): void {
    this.#verdicts = new Map(this.#ranges.map((range) => [range, this.#verdict(range)]));
    const usable = [...this.#verdicts].filter(([, verdict]) => isUsable(verdict));
    const verified = new Set(usable.map(([{ text }]) => text));
    if ([...verified].join() !== [...this.#verified].join()) this.#verified = verified;
    this.#unused = [...this.#assigned].filter(
      ([, { prefix }]) => !this.#ranges.some((range) => this.#covers(prefix, range)),
    );
  }

  #verdict(range: ConfiguredRange): Verdict {
    const fault = rangeFault(range, this.#ranges, this.#match, this.#interface);
    if (fault !== undefined) return fault;
    switch (this.#seen(range)) {
      case "unknown":
        return "prefix.unread";
      case "present":
        return "ok";
      case "missing":
        return "prefix.vanishing";
      case "absent":
        return this.#vanished.has(range.text) ? "prefix.vanished" : "prefix.not-assigned";
    }
  }

  #seen(range: ConfiguredRange): PrefixRow["imds"] {
    if (this.#readAtMs === undefined) return "unknown";
    const inside = [...this.#assigned.values()].find(({ prefix }) => this.#covers(prefix, range));
    return inside?.state ?? "absent";
  }

  #covers(assigned: Prefix, range: ConfiguredRange): boolean {
    if (range.prefix === undefined) return false;
    const mayBeInside = range.prefix.family === 6 && this.#match === "within";
    return mayBeInside ? contains(assigned, range.prefix) : assigned.text === range.text;
  }
}

/** A range keeps its addresses while its loss is not decided. */
function isUsable(verdict: Verdict): boolean {
  return verdict === "ok" || verdict === "prefix.vanishing";
}
