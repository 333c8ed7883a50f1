import type { SessionOutcome } from "../../protocol/state.ts";
import { earliest, type Instant } from "../../protocol/time.ts";
import type { Fleet } from "./fleet.ts";
import { Grants } from "./grants.ts";
import type { Model } from "./model.ts";
import { Placement } from "./placement.ts";
import { Refusals } from "./refusals.ts";
import { type Change, put, remove, type SessionRow } from "./rows.ts";
import { nextSession } from "./session-next.ts";
import type { CoreSettings } from "./settings.ts";

/** What one pass over the sessions looked at, given back when it could not be stored. */
export interface Pass {
  readonly changes: readonly Change[];
  readonly devices: ReadonlySet<string>;
  readonly outcomes: ReadonlyMap<string, SessionOutcome>;
  readonly placed: number;
  /** What instances granted and may not. */
  readonly foreign: readonly ForeignGrant[];
}

export interface ForeignGrant {
  readonly instance: string;
  readonly session: string;
  readonly addresses: string;
}

/**
 * Keeps what is to be decided about sessions, and decides all of it in one pass: one transaction for a thousand
 * devices. Work is in proportion to what changed, never to how many sessions there are.
 */
export class Placer {
  readonly #model: Model;
  readonly #fleet: Fleet;
  readonly #newId: () => string;
  readonly #settings: CoreSettings;
  /** Devices whose session must be looked at. BOUNDED: devices. */
  #devices = new Set<string>();
  /** What instances said about sessions and is not stored yet; the last word counts. BOUNDED: sessions. */
  #outcomes = new Map<string, SessionOutcome>();
  /** Devices that wait for a place. BOUNDED: devices. */
  readonly #waiting = new Set<string>();
  readonly #refusals: Refusals;
  readonly #settleAtMs: number;
  #wakeAtMs: number | undefined;
  #notBeforeMs = 0;
  #turn = 0;

  constructor(model: Model, fleet: Fleet, newId: () => string, settings: CoreSettings, now: Instant) {
    this.#model = model;
    this.#fleet = fleet;
    this.#refusals = new Refusals(fleet);
    this.#newId = newId;
    this.#settings = settings;
    this.#settleAtMs = now.monotonicMs + settings.settleMs;
    for (const { place, device } of model.sessions.values()) {
      if (place.is === "waiting") this.#waiting.add(device);
    }
  }

  /** Something about this device's session changed. */
  look(device: string): void {
    this.#devices.add(device);
  }

  heard(session: SessionRow, outcome: SessionOutcome): void {
    this.#outcomes.set(session.id, outcome);
    this.#devices.add(session.device);
  }

  /** Something changed that may let waiting devices be placed. Many changes in a row cost one pass. */
  wake(now: Instant): void {
    if (this.#waiting.size > 0) this.#wakeAtMs = earliest(this.#wakeAtMs, now.monotonicMs + wakeWithinMs);
  }

  /** Whether there is something to decide now. */
  isDue(now: Instant): boolean {
    if (now.monotonicMs < this.#notBeforeMs) return false;
    if (this.#wakeAtMs !== undefined && now.monotonicMs >= this.#wakeAtMs) {
      for (const device of this.#waiting) this.#devices.add(device);
      this.#wakeAtMs = undefined;
    }
    return this.#devices.size > 0;
  }

  nextDeadline(): number | undefined {
    if (this.#devices.size > 0 && this.#notBeforeMs > 0) return this.#notBeforeMs;
    return this.#wakeAtMs;
  }

  pass(now: Instant): Pass {
    const devices = this.#devices;
    const outcomes = this.#outcomes;
    this.#devices = new Set();
    this.#outcomes = new Map();
    const placement = new Placement(this.#model, this.#fleet, this.#turn);
    const believed = this.#believed(devices, outcomes, now);
    const changes: Change[] = [];
    let placed = 0;
    const isSettled = this.#isSettled(now);
    for (const id of devices) {
      const device = this.#model.devices.get(id);
      const session = this.#model.sessionByDevice.get(id);
      const next =
        device &&
        nextSession(session, session && believed.outcomes.get(session.id), this.#fleet.device(id), {
          isSettled,
          newId: this.#newId,
          device: id,
          take: () => placement.take(device.group, (instance) => this.#isExcluded(session, instance, now)),
          leave: (instance, inFlight) => placement.leave(instance, inFlight),
        });
      this.#note(id, next);
      if (next === session) continue;
      if (next?.place.is === "placed") placed += 1;
      if (next !== undefined) changes.push(put("session", next));
      else if (session !== undefined) changes.push(remove("session", session.id));
    }
    this.#turn += placed;
    if (this.#waiting.size > 0) {
      const againAtMs = isSettled ? now.monotonicMs + this.#settings.retryWaitingMs : this.#settleAtMs;
      this.#wakeAtMs = earliest(this.#wakeAtMs, againAtMs);
    }
    return { changes, devices, outcomes, placed, foreign: believed.foreign };
  }

  /** The pass could not be stored: nothing of it happened, and it is tried again. */
  giveBack(pass: Pass, now: Instant): void {
    for (const device of pass.devices) this.#devices.add(device);
    for (const [session, outcome] of pass.outcomes) {
      if (!this.#outcomes.has(session)) this.#outcomes.set(session, outcome);
    }
    this.#notBeforeMs = now.monotonicMs + this.#settings.retryStoreMs;
  }

  forget(session: string, device: string): void {
    this.#refusals.forget(session);
    this.#outcomes.delete(session);
    if (!this.#model.devices.has(device)) this.#waiting.delete(device);
  }

  /**
   * After the start, the first instance to return would get all the load. So nothing is placed until all are back, or
   * the time for that is over.
   */
  #isSettled(now: Instant): boolean {
    if (now.monotonicMs >= this.#settleAtMs) return true;
    for (const id of this.#model.instances.keys()) {
      if (this.#fleet.instance(id)?.report === undefined) return false;
    }
    return true;
  }

  #note(device: string, next: SessionRow | undefined): void {
    const isDeferred = next === undefined && this.#fleet.device(device)?.report?.wants === "attached";
    if (next?.place.is === "waiting" || (isDeferred && this.#fleet.device(device)?.link !== undefined)) {
      this.#waiting.add(device);
    } else this.#waiting.delete(device);
    if (next?.place.is === "attached") this.#refusals.forget(next.id);
  }

  /** What of the outcomes counts: those of the epoch that is asked for, and a wrong grant as a refusal. */
  #believed(
    devices: ReadonlySet<string>,
    outcomes: ReadonlyMap<string, SessionOutcome>,
    now: Instant,
  ): { outcomes: ReadonlyMap<string, SessionOutcome>; foreign: readonly ForeignGrant[] } {
    const believed = new Map<string, SessionOutcome>();
    const foreign: ForeignGrant[] = [];
    if (outcomes.size === 0) return { outcomes: believed, foreign };
    const grants = new Grants(this.#model);
    for (const device of devices) {
      const session = this.#model.sessionByDevice.get(device);
      let outcome = session && outcomes.get(session.id);
      if (session === undefined || outcome?.epoch !== session.epoch) continue;
      if (outcome.outcome === "granted" && !grants.accept(session, outcome)) {
        foreign.push(foreignGrant(session, outcome));
        outcome = { outcome: "refused", epoch: outcome.epoch, code: "lease.foreign" };
      }
      believed.set(session.id, outcome);
      this.#refusals.remember(session, outcome, now.monotonicMs);
    }
    return { outcomes: believed, foreign };
  }

  #isExcluded(session: SessionRow | undefined, instance: string, now: Instant): boolean {
    return session !== undefined && this.#refusals.isExcluded(session.id, instance, now.monotonicMs);
  }
}

function foreignGrant(
  { id, place }: SessionRow,
  { ipv4, ipv6 }: SessionOutcome & { outcome: "granted" },
): ForeignGrant {
  const instance = place.is === "waiting" ? "" : place.instance;
  return { instance, session: id, addresses: [ipv4, ipv6].filter(Boolean).join(", ") };
}

/** Reports come in bursts; waiting this long lets one pass answer the whole burst. */
const wakeWithinMs = 100;
