import type { SessionOutcome } from "../../protocol/state.ts";
import type { Fleet } from "./fleet.ts";
import type { SessionRow } from "./rows.ts";

interface Refusal {
  /** Of the instance's report: one that has said something new may be asked again. */
  readonly revision: number;
  /** But not before this. */
  readonly untilMs: number;
}

/** An instance that grants wrongly has the least load of all: without a pause it would be asked without end. */
const afterForeignMs = 60_000;

/** Which instances are not to be asked again for a session that they did not serve. */
export class Refusals {
  readonly #fleet: Fleet;
  /** By session and instance. BOUNDED: instances, for each session that waits. */
  readonly #refusals = new Map<string, Map<string, Refusal>>();

  constructor(fleet: Fleet) {
    this.#fleet = fleet;
  }

  remember({ id, place }: SessionRow, outcome: SessionOutcome, nowMs: number): void {
    if (place.is === "waiting" || outcome.outcome === "granted") return;
    const ofSession = this.#refusals.get(id) ?? new Map<string, Refusal>();
    const untilMs = outcome.code === "lease.foreign" ? nowMs + afterForeignMs : nowMs;
    ofSession.set(place.instance, { revision: this.#revisionOf(place.instance), untilMs });
    this.#refusals.set(id, ofSession);
  }

  isExcluded(session: string, instance: string, nowMs: number): boolean {
    const refusal = this.#refusals.get(session)?.get(instance);
    if (refusal === undefined) return false;
    return nowMs < refusal.untilMs || refusal.revision === this.#revisionOf(instance);
  }

  forget(session: string): void {
    this.#refusals.delete(session);
  }

  #revisionOf(instance: string): number {
    return this.#fleet.instance(instance)?.revision ?? 0;
  }
}
