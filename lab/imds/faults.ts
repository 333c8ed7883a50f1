// The ways the emulated metadata service misbehaves, and how each bends what it would have said. Pure: the server
// asks what to do with a request and does it.
import { type Family, groupByFamily, type Prefixes } from "./prefixes.ts";

/** Faults with `path` hit only requests whose squeezed path matches; without it, every request. */
export type Fault =
  /** The service fails with this status. */
  | { kind: "status"; status: 429 | 500 | 502 | 503 | 504; path?: RegExp }
  /** The service answers late. */
  | { kind: "latency"; delayMs: number; path?: RegExp }
  /** The connection is accepted, the answer never comes. */
  | { kind: "blackHole"; path?: RegExp }
  /** A proxy or captive portal answers 200 with a web page of its own. */
  | { kind: "html"; path?: RegExp }
  /** HttpEndpoint=disabled in the instance's metadata options. */
  | { kind: "disabled" }
  /** HttpPutResponseHopLimit too small for where the caller runs: only the token's answer is lost on the way. */
  | { kind: "hopLimit" }
  /**
   * In every other reading, the first among them, these prefixes (all, when not named) are missing.
   * A reading of an interface begins with its MAC directory's listing.
   */
  | { kind: "flap"; prefixes?: readonly string[] }
  /** Another instance's prefixes are shown for this interface. */
  | { kind: "lie"; mac: string; prefixes: readonly string[] }
  /** The MAC listing names the family's key, the key itself is 404. */
  | { kind: "race"; family: Family };

export type FaultKind = Fault["kind"];

/** What happens to a request instead of, or before, its proper answer. */
export type Interference =
  | { kind: "none" }
  | { kind: "silence" }
  | { kind: "disabled" }
  | { kind: "html" }
  | { kind: "status"; status: number };

/** At most one fault of a kind at a time, each for ever or until an instant. */
export class Faults {
  // BOUNDED: one per kind.
  readonly #active = new Map<FaultKind, { fault: Fault; untilMs: number }>();
  // BOUNDED: one per interface of the instance.
  readonly #readingsByMac = new Map<string, number>();

  /** Replaces a fault of the same kind. */
  set(fault: Fault, untilMs = Number.POSITIVE_INFINITY): void {
    this.#active.set(fault.kind, { fault, untilMs });
  }

  /** Ends the faults of one kind, or all. */
  clear(kind?: FaultKind): void {
    if (kind === undefined) this.#active.clear();
    else this.#active.delete(kind);
  }

  /** Tells that a client has asked for the directory of one of the instance's MACs. */
  readingBegins(mac: string): void {
    this.#readingsByMac.set(mac, (this.#readingsByMac.get(mac) ?? 0) + 1);
  }

  /** The worst of what is active: nothing arrives, before something wrong arrives. */
  interference(path: string, isTokenRequest: boolean, nowMs: number): Interference {
    if (this.#hits("blackHole", path, nowMs) || (isTokenRequest && this.#get("hopLimit", nowMs)))
      return { kind: "silence" };
    if (this.#hits("html", path, nowMs)) return { kind: "html" };
    if (this.#get("disabled", nowMs)) return { kind: "disabled" };
    const broken = this.#hits("status", path, nowMs);
    return broken ? { kind: "status", status: broken.status } : { kind: "none" };
  }

  delayMs(path: string, nowMs: number): number {
    return this.#hits("latency", path, nowMs)?.delayMs ?? 0;
  }

  /** The prefixes shown for an interface, as this reading has them. */
  bend(mac: string, prefixes: Prefixes, nowMs: number): Prefixes {
    const lie = this.#get("lie", nowMs);
    const told = lie?.mac === mac ? groupByFamily(lie.prefixes) : prefixes;
    const flap = this.#get("flap", nowMs);
    if (flap === undefined || (this.#readingsByMac.get(mac) ?? 0) % 2 === 0) return told;
    const missing = (cidr: string) => flap.prefixes === undefined || flap.prefixes.includes(cidr);
    return {
      ipv4: told.ipv4.filter((cidr) => !missing(cidr)),
      ipv6: told.ipv6.filter((cidr) => !missing(cidr)),
    };
  }

  /** Whether a family's key is listed but cannot be read. */
  races(family: Family, nowMs: number): boolean {
    return this.#get("race", nowMs)?.family === family;
  }

  #hits<K extends "status" | "latency" | "blackHole" | "html">(
    kind: K,
    path: string,
    nowMs: number,
  ): FaultOf<K> | undefined {
    const fault = this.#get(kind, nowMs);
    return fault !== undefined && matches(fault, path) ? fault : undefined;
  }

  #get<K extends FaultKind>(kind: K, nowMs: number): FaultOf<K> | undefined {
    const active = this.#active.get(kind);
    return active !== undefined && nowMs < active.untilMs && isOf(active.fault, kind)
      ? active.fault
      : undefined;
  }
}

type FaultOf<K extends FaultKind> = Extract<Fault, { kind: K }>;

function isOf<K extends FaultKind>(fault: Fault, kind: K): fault is FaultOf<K> {
  return fault.kind === kind;
}

function matches(fault: Fault, path: string): boolean {
  const pattern = "path" in fault ? fault.path : undefined;
  // `search` and not `test`: it does not depend on where a pattern with the g flag left off.
  return pattern === undefined || path.search(pattern) >= 0;
}
