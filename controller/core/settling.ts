import type { Instant } from "../../protocol/time.ts";
import type { Fleet } from "./fleet.ts";
import type { Model } from "./model.ts";

/**
 * The time in which a group returns to a controller that has lost it, by a restart or because its own network was gone.
 * The first instance to return would get all the load, and the others would look lost: so nothing is placed and nobody is
 * judged until all have reported, or the time is over.
 */
export class Settling {
  readonly #model: Model;
  readonly #fleet: Fleet;
  readonly #settleMs: number;
  #sinceMs: number;
  #isOver = false;

  constructor(model: Model, fleet: Fleet, settleMs: number, now: Instant) {
    this.#model = model;
    this.#fleet = fleet;
    this.#settleMs = settleMs;
    this.#sinceMs = now.monotonicMs;
  }

  /** Since when the controller hears the group without a break. */
  get sinceMs(): number {
    return this.#sinceMs;
  }

  get endsAtMs(): number {
    return this.#sinceMs + this.#settleMs;
  }

  isOver(now: Instant): boolean {
    this.#isOver ||= now.monotonicMs >= this.endsAtMs || this.#areAllBack();
    return this.#isOver;
  }

  /** An instance is back and no other is: if others still carry sessions, it was the controller that was away. */
  firstBack(instance: string, now: Instant): void {
    if (!this.#isOver) return;
    for (const { id } of this.#model.instances.values()) {
      const facts = this.#fleet.instance(id);
      const isMissing = id !== instance && facts?.link === undefined && facts?.goodbye === undefined;
      if (!isMissing || this.#model.sessionsOn(id).size === 0) continue;
      this.#isOver = false;
      this.#sinceMs = now.monotonicMs;
      return;
    }
  }

  #areAllBack(): boolean {
    for (const id of this.#model.instances.keys()) {
      const facts = this.#fleet.instance(id);
      if (facts?.report === undefined && facts?.goodbye === undefined) return false;
    }
    return true;
  }
}
