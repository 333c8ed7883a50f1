import type { SessionOutcome } from "../../protocol/state.ts";
import { earliest, type Instant } from "../../protocol/time.ts";
import { type Believed, believe, type ForeignGrant } from "./believed.ts";
import type { Fleet } from "./fleet.ts";
import { Handovers } from "./handovers.ts";
import type { Judge } from "./judge.ts";
import { reasonOf } from "./judgement.ts";
import type { Model } from "./model.ts";
import { auditOfMoves, type Move } from "./moves.ts";
import { Placement } from "./placement.ts";
import { Refusals } from "./refusals.ts";
import { type AuditDraft, type Change, put, remove, type SessionRow } from "./rows.ts";
import { nextSession } from "./session-next.ts";
import type { CoreSettings } from "./settings.ts";

/** What one pass over the sessions looked at, given back when it could not be stored. */
export interface Pass {
  readonly changes: readonly Change[];
  readonly audit: readonly AuditDraft[];
  readonly devices: ReadonlySet<string>;
  readonly outcomes: ReadonlyMap<string, SessionOutcome>;
  readonly placed: number;
  readonly moves: readonly Move[];
  readonly foreign: readonly ForeignGrant[];
}

/**
 * Keeps what is to be decided about sessions, and decides all of it in one pass: one transaction for a thousand
 * devices. Work is in proportion to what changed, never to how many sessions there are.
 */
export class Placer {
  readonly #model: Model;
  readonly #fleet: Fleet;
  readonly #judge: Judge;
  readonly #newId: () => string;
  readonly #settings: CoreSettings;
  /** Devices whose session must be looked at. BOUNDED: devices. */
  #devices = new Set<string>();
  /** What instances said about sessions and is not stored yet; the last word counts. BOUNDED: sessions. */
  #outcomes = new Map<string, SessionOutcome>();
  /** Devices that wait for a place, or for a better one. BOUNDED: devices. */
  readonly #waiting = new Set<string>();
  readonly #refusals: Refusals;
  readonly #handovers = new Handovers();
  #wakeAtMs: number | undefined;
  #notBeforeMs = 0;
  #turn = 0;

  constructor(
    { model, fleet, judge }: { model: Model; fleet: Fleet; judge: Judge },
    newId: () => string,
    settings: CoreSettings,
    now: Instant,
  ) {
    this.#model = model;
    this.#fleet = fleet;
    this.#judge = judge;
    this.#refusals = new Refusals(fleet);
    this.#newId = newId;
    this.#settings = settings;
    for (const session of model.sessions.values()) {
      if (session.place.is === "waiting") this.#waiting.add(session.device);
      this.#handovers.follow(session, now, settings.drainDeadlineMs);
    }
  }

  /** Something about this device's session changed. */
  look(device: string): void {
    this.#devices.add(device);
  }

  /** There is another verdict about this instance: all its sessions are looked at. */
  lookAt(instance: string): void {
    for (const ids of [this.#model.sessionsOn(instance), this.#model.leavingFrom(instance)]) {
      for (const id of ids) {
        const device = this.#model.sessions.get(id)?.device;
        if (device !== undefined) this.#devices.add(device);
      }
    }
  }

  heard(session: SessionRow, outcome: SessionOutcome): void {
    if (session.epoch !== outcome.epoch) this.#handovers.ended(session, outcome.epoch);
    else this.#outcomes.set(session.id, outcome);
    this.#devices.add(session.device);
  }

  /** A session's row was stored. */
  stored(session: SessionRow, now: Instant): void {
    this.#handovers.follow(session, now, this.#settings.drainDeadlineMs);
    const { place } = session;
    if (place.is !== "attached") return;
    // Granted where it should not stay, or will not when its device has been silent for long enough; or done leaving one
    // place while the next is to be left.
    const isServing = this.#judge.verdictOf(place.instance).is === "serving";
    if (!isServing || this.#judge.fateOf(session, now) !== "stay") this.look(session.device);
  }

  /** Something changed that may let waiting devices be placed. Many changes in a row cost one pass. */
  wake(now: Instant): void {
    if (this.#waiting.size > 0) this.#wakeAtMs = earliest(this.#wakeAtMs, now.monotonicMs + wakeWithinMs);
  }

  /** Whether there is something to decide now. */
  isDue(now: Instant): boolean {
    for (const device of this.#judge.lone.take(now)) this.#devices.add(device);
    for (const device of this.#handovers.take(now)) this.#devices.add(device);
    if (now.monotonicMs < this.#notBeforeMs) return false;
    if (this.#wakeAtMs !== undefined && now.monotonicMs >= this.#wakeAtMs) {
      for (const device of this.#waiting) this.#devices.add(device);
      this.#wakeAtMs = undefined;
    }
    return this.#devices.size > 0;
  }

  nextDeadline(): number | undefined {
    if (this.#devices.size > 0 && this.#notBeforeMs > 0) return this.#notBeforeMs;
    return earliest(this.#wakeAtMs, this.#handovers.nextDeadline(), this.#judge.lone.nextDeadline());
  }

  pass(now: Instant): Pass {
    const devices = this.#devices;
    const outcomes = this.#outcomes;
    this.#devices = new Set();
    this.#outcomes = new Map();
    const isOpen = (instance: string) => this.#judge.verdictOf(instance).is === "serving";
    const placement = new Placement(this.#model, this.#fleet, this.#turn, isOpen);
    const believed = believe({ devices, outcomes }, this.#model, this.#refusals, now.monotonicMs);
    const changes: Change[] = [];
    const moves: Move[] = [];
    let placed = 0;
    const isSettled = this.#judge.settling.isOver(now);
    for (const id of devices) {
      const session = this.#model.sessionByDevice.get(id);
      const next = this.#next(id, session, { placement, believed, isSettled, now });
      if (next === session) continue;
      if (next?.place.is === "placed") placed += 1;
      const move = session && next && this.#moveOf(session, next, believed, now);
      if (move !== undefined) moves.push(move);
      if (next !== undefined) changes.push(put("session", next));
      else if (session !== undefined) changes.push(remove("session", session.id));
    }
    this.#turn += placed;
    this.#sleep(isSettled, now);
    const audit = auditOfMoves(moves, this.#model, now.wallMs);
    return { changes, audit, devices, outcomes, placed, moves, foreign: believed.foreign };
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
    this.#handovers.forget(device);
    if (!this.#model.devices.has(device)) this.#waiting.delete(device);
  }

  #next(
    id: string,
    session: SessionRow | undefined,
    { placement, believed, isSettled, now }: Deciding,
  ): SessionRow | undefined {
    const device = this.#model.devices.get(id);
    if (device === undefined) {
      this.#waiting.delete(id);
      return undefined;
    }
    const facts = this.#fleet.device(id);
    const fate = session === undefined ? "stay" : this.#judge.fateOf(session, now);
    const here = session && this.#withoutLeft(session);
    const isExcluded = (instance: string) => {
      if (session === undefined) return false;
      const isHere = session.place.is !== "waiting" && session.place.instance === instance;
      return (isHere && fate !== "stay") || this.#refusals.isExcluded(session.id, instance, now.monotonicMs);
    };
    const next = nextSession(here, session && believed.outcomes.get(session.id), facts, {
      isSettled,
      fate,
      leaveByMs: now.wallMs + this.#settings.drainDeadlineMs,
      newId: this.#newId,
      device: id,
      take: () => placement.take(device.group, isExcluded, here?.leaving),
      leave: (instance, inFlight) => placement.leave(instance, inFlight),
    });
    this.#note(id, next, now);
    return next;
  }

  /** The session without the place it leaves, if that is over. */
  #withoutLeft(session: SessionRow): SessionRow {
    const { leaving } = session;
    if (leaving === null) return session;
    const facts = this.#fleet.device(session.device);
    const isOver = this.#handovers.isOver(session, leaving, facts, this.#judge.verdictOf(leaving.instance));
    return isOver ? { ...session, leaving: null } : session;
  }

  #moveOf(
    before: SessionRow,
    { place, epoch }: SessionRow,
    believed: Believed,
    now: Instant,
  ): Move | undefined {
    const from = before.place;
    if (from.is === "waiting" || place.is !== "placed" || epoch === before.epoch) return undefined;
    const outcome = believed.outcomes.get(before.id)?.outcome;
    const isEvidence = outcome === undefined || outcome === "granted";
    if (!isEvidence || this.#judge.fateOf(before, now) === "stay") return undefined;
    const reason = reasonOf(this.#judge.verdictOf(from.instance));
    return { device: before.device, from: from.instance, to: place.instance, reason };
  }

  #note(device: string, next: SessionRow | undefined, now: Instant): void {
    const facts = this.#fleet.device(device);
    const isDeferred = next === undefined && facts?.report?.wants === "attached" && facts.link !== undefined;
    const isWaiting = next?.place.is === "waiting";
    if (isWaiting || isDeferred || (next !== undefined && this.#isUneasy(next, now)))
      this.#waiting.add(device);
    else this.#waiting.delete(device);
    if (next?.place.is === "attached") this.#refusals.forget(next.id);
  }

  /** It should be elsewhere and cannot, or will have to be when its device has been silent for long enough. */
  #isUneasy(session: SessionRow, now: Instant): boolean {
    const { place } = session;
    if (place.is === "waiting" || this.#judge.verdictOf(place.instance).is === "serving")
      return this.#judge.fateOf(session, now) !== "stay";
    if (this.#judge.fateOf(session, now) !== "stay") return session.leaving === null;
    return this.#judge.testimonyOf(session, now) === "fresh";
  }

  #sleep(isSettled: boolean, now: Instant): void {
    if (this.#waiting.size === 0) return;
    const againAtMs = now.monotonicMs + this.#settings.retryWaitingMs;
    this.#wakeAtMs = earliest(this.#wakeAtMs, isSettled ? againAtMs : this.#judge.settling.endsAtMs);
  }
}

interface Deciding {
  readonly placement: Placement;
  readonly believed: Believed;
  readonly isSettled: boolean;
  readonly now: Instant;
}

/** Reports come in bursts; waiting this long lets one pass answer the whole burst. */
const wakeWithinMs = 100;
