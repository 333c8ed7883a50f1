import type { Instant } from "../../protocol/time.ts";
import type { Fleet } from "./fleet.ts";
import type { Model } from "./model.ts";
import type { CoreSettings } from "./settings.ts";

/**
 * The time in which a group returns to a controller that has lost it, by a restart or because its own network was gone.
 * The first instance to return would get all the load, and the others would look lost: so nothing is placed and nobody is
 * judged until all have reported, or the time is over.
 */
export class Settling {
  readonly #model: Model;
  readonly #fleet: Fleet;
  readonly #settleMs: number;
  /** Links that are lost together are noticed within so long of each other. */
  readonly #togetherMs: number;
  /** The controller heard nobody from here on. */
  #fromMs = Number.NEGATIVE_INFINITY;
  #sinceMs: number;
  #isOver = false;

  constructor(model: Model, fleet: Fleet, settings: CoreSettings, now: Instant) {
    this.#model = model;
    this.#fleet = fleet;
    this.#settleMs = settings.settleMs;
    this.#togetherMs = settings.heartbeatMs.agent * settings.silentHeartbeats;
    this.#sinceMs = now.monotonicMs;
  }

  /** Since when the controller hears the group. */
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

  /** Whether the link was lost with all the others, so that it says nothing about the instance. */
  isOfAbsence(lostAtMs: number): boolean {
    return lostAtMs >= this.#fromMs && lostAtMs < this.#sinceMs;
  }

  /**
   * An instance is back and no other is there. If others that carry sessions were lost when it was, it was the controller
   * that was away.
   */
  firstBack(instance: string, lostAtMs: number, now: Instant): void {
    if (!this.#isOver) return;
    const fromMs = lostAtMs - this.#togetherMs;
    for (const id of this.#model.instances.keys()) {
      const facts = this.#fleet.instance(id);
      if (id === instance || facts?.lostAtMs === undefined || facts.goodbye !== undefined) continue;
      if (facts.lostAtMs < fromMs || this.#model.sessionsOn(id).size === 0) continue;
      this.#isOver = false;
      this.#fromMs = fromMs;
      this.#sinceMs = now.monotonicMs;
      return;
    }
  }

  #areAllBack(): boolean {
    for (const id of this.#model.instances.keys()) {
      const facts = this.#fleet.instance(id);
      const isBack = facts?.link !== undefined && facts.report !== undefined;
      if (!isBack && facts?.goodbye === undefined) return false;
    }
    return true;
  }
}
