import { z } from "zod";
import { Ec2InstanceId } from "../../protocol/names.ts";
import type { Instant } from "../../protocol/time.ts";
import type { Desired } from "./desired.ts";
import type { Enrolment } from "./enrolment.ts";
import type { Holds } from "./holds.ts";
import type { StoreBatch } from "./ports.ts";
import type { Prefixes, SavedPrefixes } from "./prefixes.ts";

const SavedPrefixesShape = z.object({
  assigned: z.array(z.string().max(49)).max(256),
  vanished: z.array(z.string().max(49)).max(256),
  vpcCidrs: z.array(z.string().max(49)).max(256).optional(),
  readAtMs: z.number(),
});

/** What the store held from before; a fact this version cannot read counts as not there. */
export function savedPrefixes(facts: ReadonlyMap<string, unknown>): SavedPrefixes | undefined {
  return SavedPrefixesShape.safeParse(facts.get("prefixes")).data;
}

const SavedBoot = z.object({ bootId: z.string(), ec2InstanceId: Ec2InstanceId });

/** Which EC2 instance this host is, as the metadata service has said in this boot to an agent before. */
export function instanceOfBoot(facts: ReadonlyMap<string, unknown>, bootId: string): string | undefined {
  const { data } = SavedBoot.safeParse(facts.get("boot"));
  return data?.bootId === bootId ? data.ec2InstanceId : undefined;
}

/** One write of the desired state and of facts. */
export interface MemoryWrite {
  readonly effectId: number;
  readonly desired: StoreBatch["desired"];
  readonly facts: StoreBatch["facts"];
}

const againAfterMs = 5_000;

/**
 * Keeps on disk what an agent needs that restarts with no controller in reach: the desired state, the prefixes, the
 * drain, and which instance this is. A write that failed is made again, with what is true by then: losing it costs nothing while the agent runs.
 */
export class Memory {
  readonly #desired: Desired;
  readonly #prefixes: Prefixes;
  readonly #holds: Holds;
  readonly #enrolment: Pick<Enrolment, "instanceSinceBoot">;
  readonly #bootId: string;
  /** The facts as they are on disk, by name: what was compared when they were written. */
  #written = new Map<string, string>();
  #writing: { readonly write: MemoryWrite; readonly facts: readonly Fact[] } | undefined;
  #retryAtMs: number | undefined;
  #effects = 0;

  constructor(parts: {
    desired: Desired;
    prefixes: Prefixes;
    holds: Holds;
    enrolment: Pick<Enrolment, "instanceSinceBoot">;
    bootId: string;
  }) {
    this.#desired = parts.desired;
    this.#prefixes = parts.prefixes;
    this.#holds = parts.holds;
    this.#enrolment = parts.enrolment;
    this.#bootId = parts.bootId;
    this.#written = new Map(this.#facts().map(({ name, compared }) => [name, compared]));
  }

  /**
   * What to write now: one write at a time. `isLeaseWritten` in this turn: it goes along whatever the wait, so that no
   * grant is on disk without the session it is for.
   */
  next(now: Instant, isLeaseWritten = false): MemoryWrite | undefined {
    if (this.#writing !== undefined) return undefined;
    const mustWait = this.#retryAtMs !== undefined && now.monotonicMs < this.#retryAtMs;
    if (mustWait && !isLeaseWritten) return undefined;
    this.#retryAtMs = undefined;
    const desired = this.#desired.takeUnsaved();
    const facts = this.#facts().filter(({ name, compared }) => this.#written.get(name) !== compared);
    if (desired === undefined && facts.length === 0) return undefined;
    const write: MemoryWrite = {
      effectId: ++this.#effects,
      desired: desired ?? { clear: false, set: [], remove: [] },
      facts: facts.map(({ name, value }) => [name, value]),
    };
    this.#writing = { write, facts };
    return write;
  }

  written(effectId: number, isOnDisk: boolean, now: Instant): void {
    const writing = this.#writing;
    if (writing?.write.effectId !== effectId) return;
    this.#writing = undefined;
    this.#retryAtMs = isOnDisk ? undefined : now.monotonicMs + againAfterMs;
    if (isOnDisk) for (const { name, compared } of writing.facts) this.#written.set(name, compared);
    else this.#desired.notSaved(writing.write.desired);
  }

  /** Whether the disk has the desired state as it is now. */
  get isDesiredOnDisk(): boolean {
    return this.#writing === undefined && !this.#desired.isUnsaved;
  }

  nextDeadline(): number | undefined {
    return this.#retryAtMs;
  }

  #facts(): Fact[] {
    const drain = this.#holds.saved;
    const facts = [{ name: "drain", value: drain as unknown, compared: JSON.stringify(drain) }];
    const ec2InstanceId = this.#enrolment.instanceSinceBoot;
    if (ec2InstanceId !== undefined) {
      const boot = { bootId: this.#bootId, ec2InstanceId };
      facts.push({ name: "boot", value: boot, compared: JSON.stringify(boot) });
    }
    const prefixes = this.#prefixes.saved;
    if (prefixes !== undefined) {
      // The time of a reading alone is not worth a write.
      const { readAtMs: _, ...compared } = prefixes;
      facts.push({ name: "prefixes", value: prefixes, compared: JSON.stringify(compared) });
    }
    return facts;
  }
}

interface Fact {
  readonly name: string;
  readonly value: unknown;
  readonly compared: string;
}
