import { z } from "zod";
import { DrainReason } from "../../protocol/specs.ts";

/** One reason to drain: since when, and until when it is to be done, on the wall clock of those who look. */
const Hold = z.object({ reason: DrainReason, sinceMs: z.number(), untilMs: z.number().optional() });
export type Hold = z.infer<typeof Hold>;

/** Why the instance takes no new sessions: a set, so that ending one reason does not end another. */
export class Holds {
  /** BOUNDED: one for each reason. */
  readonly #holds: Map<DrainReason, Hold>;
  /** The most sessions there were while it drained. */
  #sessionsMost = 0;

  /** `saved` is what `saved` gave before the restart. */
  constructor(saved: readonly Hold[] = []) {
    this.#holds = new Map(saved.filter(survives).map((hold) => [hold.reason, hold]));
  }

  /** Whether this changed anything. Draining again for the same reason keeps its beginning and takes the new end. */
  set(reason: DrainReason, isOn: boolean, wallMs: number, untilMs?: number): boolean {
    const before = this.#holds.get(reason);
    if (!isOn) return this.#holds.delete(reason);
    if (before !== undefined && before.untilMs === untilMs) return false;
    const sinceMs = before?.sinceMs ?? Math.floor(wallMs);
    this.#holds.set(reason, { reason, sinceMs, ...(untilMs === undefined ? {} : { untilMs }) });
    return true;
  }

  has(reason: DrainReason): boolean {
    return this.#holds.has(reason);
  }

  get reasons(): ReadonlySet<DrainReason> {
    return new Set(this.#holds.keys());
  }

  /** Told each turn how many sessions there are, for showing how far a drain has come. */
  count(sessions: number): void {
    this.#sessionsMost = this.#holds.size === 0 ? 0 : Math.max(this.#sessionsMost, sessions);
  }

  /** Undefined while there is no reason to drain. */
  get view(): { sinceMs: number; untilMs?: number; sessionsMost: number } | undefined {
    const holds = [...this.#holds.values()];
    if (holds.length === 0) return undefined;
    const ends = holds.flatMap(({ untilMs }) => untilMs ?? []);
    return {
      sinceMs: Math.min(...holds.map(({ sinceMs }) => sinceMs)),
      ...(ends.length === 0 ? {} : { untilMs: Math.min(...ends) }),
      sessionsMost: this.#sessionsMost,
    };
  }

  get saved(): Hold[] {
    return [...this.#holds.values()].filter(survives);
  }
}

/** The drain reasons as the disk has them; older versions wrote no times. */
export function savedHolds(facts: ReadonlyMap<string, unknown>): Hold[] {
  const Saved = z.array(z.union([Hold, DrainReason.transform((reason) => ({ reason, sinceMs: 0 }))]));
  return Saved.safeParse(facts.get("drain")).data ?? [];
}

/**
 * A person's word holds until it is taken back. So does AWS's, until the metadata service says otherwise: an agent that
 * starts while it is silent does not know that a notice has ended. What the controller wants it says again.
 */
const survivesRestart = {
  cli: true,
  admin: false,
  restart: false,
  shutdown: false,
  spot: true,
  rebalance: true,
  autoscaling: true,
} as const satisfies Record<DrainReason, boolean>;

function survives({ reason }: Hold): boolean {
  return survivesRestart[reason];
}
