import { type Failure, failed, type Result, success } from "../../protocol/failures.ts";
import type { Logger } from "../../protocol/node/log.ts";
import type { Firewall } from "../core/firewall.ts";
import { driftOf, driftText } from "../core/firewall-drift.ts";
import { type HeldFirewall, learnedOf } from "../core/firewall-held.ts";
import { ageText } from "../core/firewall-learned.ts";
import { type Carried, changeText, isSameButUsers, tableText } from "../core/firewall-text.ts";
import type { Nft } from "./nft.ts";

/** What stands in the kernel by our hand: the plan, and how nft listed it right afterwards. */
interface Applied {
  readonly firewall: Firewall;
  readonly held: HeldFirewall;
}

/**
 * Brings table `inet connector` to a plan and keeps watch over it. One call at a time: whoever calls waits for the one
 * before. The first apply of a process replaces the whole table in one transaction, whatever an earlier process left,
 * and keeps the addresses that were learned for domains; connections that are established pass before any of it. Later
 * ones write only what changed.
 */
export class NftTable {
  readonly #nft: Nft;
  readonly #log: Logger;
  #applied: Applied | undefined;
  /** A difference was found that is not written over yet. */
  #isSuspect = false;
  /** As last read: given back when somebody deletes the table. */
  #carried: Carried = { counters: new Map(), learned: new Map() };
  #busy: Promise<unknown> = Promise.resolve();

  constructor(options: { nft: Nft; log: Logger }) {
    this.#nft = options.nft;
    this.#log = options.log;
  }

  /**
   * Writes the plan and reads it back. A difference that is found is written over once, then it is a failure. Users that
   * come and go are not read back: the kernel takes a transaction whole or not at all, in a hundredth of the time that
   * a listing of 10,000 takes, and what others change is for `drift` to find.
   */
  apply(wanted: Firewall): Promise<Result<void>> {
    return this.#inTurn(() => this.#bring(wanted));
  }

  /** What somebody else changed since the last apply, in words. Empty when nothing, or when nothing was applied. */
  drift(): Promise<Result<readonly string[]>> {
    return this.#inTurn(async () => {
      if (this.#applied === undefined) return success([]);
      return this.#compare(this.#applied.firewall, this.#applied.held);
    });
  }

  /** Lets addresses that were learned for domains age by one step; due every `learnedForMs`. */
  age(): Promise<Result<void>> {
    return this.#inTurn(async () => {
      const applied = this.#applied;
      if (applied === undefined) return success(undefined);
      const held = await this.#nft.read();
      if (!held.ok) return held;
      this.#keep(held.value);
      const text = ageText(
        applied.firewall.domains,
        held.value === undefined ? new Map() : learnedOf(held.value),
      );
      return text === undefined ? success(undefined) : this.#nft.apply(text);
    });
  }

  /** What the counters count, by name; empty before the first apply. */
  counters(): Promise<Result<HeldFirewall["counters"]>> {
    return this.#inTurn(async () => {
      const held = await this.#nft.read();
      return held.ok ? success(held.value?.counters ?? new Map()) : held;
    });
  }

  async #bring(wanted: Firewall): Promise<Result<void>> {
    if (this.#applied !== undefined) {
      const changed = await this.#change(this.#applied, wanted);
      if (changed.ok) return changed;
      this.#log.warn({ ...changed.failure.facts }, "the firewall is written anew");
      this.#applied = undefined;
      if (isHanging(changed.failure)) return changed;
    }
    // Nothing is known about what stands there: the whole table is replaced.
    const known = await this.#nft.read();
    if (known.ok) this.#keep(known.value);
    const written = await this.#nft.apply(tableText(wanted, this.#carried));
    return written.ok ? this.#confirm(wanted, undefined) : written;
  }

  /** The short way: only what differs from what was applied before. */
  async #change(applied: Applied, wanted: Firewall): Promise<Result<void>> {
    const text = changeText(applied.firewall, wanted);
    const written = text === undefined ? success(undefined) : await this.#nft.apply(text);
    if (!written.ok) return written;
    if (text === undefined || this.#isSuspect || !isSameButUsers(applied.firewall, wanted)) {
      return this.#confirm(wanted, unchanged(applied, wanted));
    }
    this.#applied = { ...applied, firewall: wanted };
    return success(undefined);
  }

  async #confirm(wanted: Firewall, before: HeldFirewall | undefined): Promise<Result<void>> {
    const drift = await this.#compare(wanted, before);
    if (!drift.ok) return drift;
    if (drift.value.length === 0) return success(undefined);
    return failed("datapath.failing", { command: "nft -j list table", "read back": driftText(drift.value) });
  }

  async #compare(wanted: Firewall, before: HeldFirewall | undefined): Promise<Result<readonly string[]>> {
    const held = await this.#nft.read();
    if (!held.ok) return held;
    if (held.value === undefined) {
      this.#isSuspect = true;
      return success(["table inet connector is missing"]);
    }
    this.#keep(held.value);
    const drift = driftOf(wanted, held.value, before);
    this.#isSuspect = drift.length > 0;
    if (drift.length === 0) this.#applied = { firewall: wanted, held: held.value };
    return success(drift);
  }

  #keep(held: HeldFirewall | undefined): void {
    if (held !== undefined) this.#carried = { counters: held.counters, learned: learnedOf(held) };
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#busy.then(work);
    this.#busy = result.catch(() => undefined);
    return result;
  }
}

/** Asking it again at once takes as long again, and whoever leaves meanwhile waits to be cut off. */
function isHanging({ facts }: Failure): boolean {
  return String(facts.error).startsWith("no end within");
}

/** Of what was read before, the chains that stay as they are: the others were just written. */
function unchanged({ firewall, held }: Applied, wanted: Firewall): HeldFirewall {
  const chains = [...held.chains].filter(([name]) => {
    const [a, b] = [firewall.chains.get(name), wanted.chains.get(name)];
    return JSON.stringify(a?.rules) === JSON.stringify(b?.rules);
  });
  return { ...held, chains: new Map(chains) };
}
