import type { SessionOutcome } from "../../protocol/state.ts";
import { earliest, type Instant } from "../../protocol/time.ts";
import { type Believed, believe, type ForeignGrant } from "./believed.ts";
import type { Fleet } from "./fleet.ts";
import { Handovers } from "./handovers.ts";
import type { Judge } from "./judge.ts";
import { trustIn } from "./judgement.ts";
import type { Model } from "./model.ts";
import { auditOfMoves, type Move, moveOf, remembering } from "./moves.ts";
import { Outcomes } from "./outcomes.ts";
import { Placement, type Seeker } from "./placement.ts";
import { Refusals } from "./refusals.ts";
import { type AuditDraft, type Change, type DeviceRow, put, remove, type SessionRow } from "./rows.ts";
import { Seekers } from "./seekers.ts";
import { nextSession } from "./session-next.ts";
import type { CoreSettings } from "./settings.ts";

/** What one pass over the sessions looked at, given back when it could not be stored. */
export interface Pass {
  readonly changes: readonly Change[];
  readonly audit: readonly AuditDraft[];
  readonly devices: ReadonlySet<string>;
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
  readonly #outcomes = new Outcomes();
  readonly #seekers = new Seekers();
  /** Devices that wait for a better place, or for the group to return. BOUNDED: devices. */
  readonly #uneasy = new Set<string>();
  readonly #refusals: Refusals;
  readonly #handovers: Handovers;
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
    this.#handovers = new Handovers(settings);
    for (const session of model.sessions.values()) {
      const group = model.devices.get(session.device)?.group;
      if (session.place.is === "waiting" && group !== undefined) this.#seekers.add(group, session.device);
      this.#handovers.found(session, now);
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
    if (session.leaving?.epoch !== outcome.epoch) this.#outcomes.hear(session.id, outcome);
    else if (outcome.outcome !== "granted") this.#handovers.ended(session, outcome.epoch);
    else return;
    this.#devices.add(session.device);
  }

  /** The instance says what is stored already: news only where it said something else before. */
  heardAgain(session: SessionRow, outcome: SessionOutcome): void {
    if (this.#outcomes.isOpen(session.id)) this.heard(session, outcome);
  }

  /** A session's row was stored. */
  stored(session: SessionRow, now: Instant): void {
    this.#handovers.follow(session, now);
    // What was said while the row was on its way to the disk may be about the place that it leaves since.
    const said = this.#outcomes.of(session.id);
    if (said !== undefined && said.epoch === session.leaving?.epoch) {
      this.#outcomes.forget(session.id);
      this.heard(session, said);
    }
    // Granted where it should not stay, or done leaving one place while the next is to be left.
    if (session.place.is === "attached" && this.#judge.fateOf(session, now) !== "stay")
      this.look(session.device);
  }

  /** Something changed that may let waiting devices be placed. Many changes in a row cost one pass. */
  wake(now: Instant): void {
    if (this.#seekers.size + this.#uneasy.size > 0)
      this.#wakeAtMs = earliest(this.#wakeAtMs, now.monotonicMs + wakeWithinMs);
  }

  /** Whether there is something to decide now. */
  isDue(now: Instant): boolean {
    for (const device of this.#judge.lone.take(now)) this.#devices.add(device);
    for (const device of this.#handovers.take(now, (id) => this.#isPlaceLost(id))) this.#devices.add(device);
    if (now.monotonicMs < this.#notBeforeMs) return false;
    if (this.#wakeAtMs !== undefined && now.monotonicMs >= this.#wakeAtMs) {
      // Who waited comes before who is new.
      const placement = this.#placement();
      const waiting = [...this.#uneasy, ...this.#seekers.take((group) => placement.roomFor(group))];
      this.#devices = new Set([...waiting, ...this.#devices]);
      this.#wakeAtMs = undefined;
      this.#sleep(this.#judge.settling.isOver(now), now);
    }
    return this.#devices.size > 0;
  }

  nextDeadline(): number | undefined {
    if (this.#devices.size > 0 && this.#notBeforeMs > 0) return this.#notBeforeMs;
    return earliest(this.#wakeAtMs, this.#handovers.nextDeadline(), this.#judge.lone.nextDeadline());
  }

  pass(now: Instant): Pass {
    const devices = this.#takeDevices();
    const outcomes = this.#outcomes.take(
      [...devices].flatMap((device) => this.#model.sessionByDevice.get(device)?.id ?? []),
    );
    const verdictOf = (instance: string) => this.#judge.verdictOf(instance);
    const placement = this.#placement();
    const believed = believe({ devices, outcomes }, this.#model, this.#refusals, now.monotonicMs);
    const changes: Change[] = [];
    const moves: Move[] = [];
    let placed = 0;
    const isSettled = this.#judge.settling.isOver(now);
    for (const id of placement.devicesInOrder(devices)) {
      const session = this.#model.sessionByDevice.get(id);
      const next = this.#next(id, session, { placement, believed, isSettled, now });
      if (next === session) continue;
      if (next?.place.is === "placed") placed += 1;
      const outcome = session && believed.outcomes.get(session.id);
      const why = { outcome, verdictOf, device: this.#fleet.device(id), model: this.#model };
      const move = session && next && moveOf(session, next, why);
      if (move !== undefined) moves.push(move);
      if (next !== undefined) changes.push(put("session", session ? remembering(session, next, move) : next));
      else if (session !== undefined) changes.push(remove("session", session.id));
    }
    this.#turn += placed;
    this.#sleep(isSettled, now);
    const audit = auditOfMoves(moves, this.#model, now.wallMs);
    return { changes, audit, devices, placed, moves, foreign: believed.foreign };
  }

  /** The pass could not be stored: nothing of it happened, and it is tried again. */
  giveBack(pass: Pass, now: Instant): void {
    for (const device of pass.devices) this.#devices.add(device);
    this.#outcomes.giveBack();
    this.#notBeforeMs = now.monotonicMs + this.#settings.retryStoreMs;
  }

  forget(session: string, device: string): void {
    this.#refusals.forget(session);
    this.#outcomes.forget(session);
    this.#handovers.forget(device);
    if (!this.#model.devices.has(device)) this.#rest(device);
  }

  /** So many that the event loop comes round in between: pings are answered, whatever there is to decide. */
  #takeDevices(): ReadonlySet<string> {
    const all = this.#devices;
    this.#devices = new Set();
    if (all.size <= passMax) return all;
    const taken = new Set<string>();
    for (const device of all) (taken.size < passMax ? taken : this.#devices).add(device);
    return taken;
  }

  #placement(): Placement {
    return new Placement(this.#model, this.#fleet, this.#turn, (id) => trustIn(this.#judge.verdictOf(id)));
  }

  #next(
    id: string,
    session: SessionRow | undefined,
    { placement, believed, isSettled, now }: Deciding,
  ): SessionRow | undefined {
    const device = this.#model.devices.get(id);
    if (device === undefined) {
      this.#rest(id);
      return undefined;
    }
    const facts = this.#fleet.device(id);
    const fate = session === undefined ? "stay" : this.#judge.fateOf(session, now);
    const here = session && this.#withoutLeft(session);
    const { group } = device;
    const seeker: Seeker = {
      group,
      left: here?.leaving?.instance,
      off: session?.place.is === "waiting" || fate === "stay" ? undefined : session?.place.instance,
      hasNone: session === undefined || session.place.is === "waiting",
      isRefusedBy: (instance) =>
        session !== undefined && this.#refusals.isExcluded(session.id, instance, now.monotonicMs),
    };
    const next = nextSession(here, session && believed.outcomes.get(session.id), facts, {
      isSettled,
      fate,
      leaveByMs: now.wallMs + this.#settings.drainDeadlineMs,
      newId: this.#newId,
      device: id,
      take: () => placement.take(seeker),
      takeHome: () => placement.take({ ...seeker, home: this.#homeOf(id, group) }),
      leave: (instance, inFlight) => placement.leave(instance, inFlight),
    });
    this.#note(device, next, now);
    return next;
  }

  #homeOf(device: string, group: string): string | undefined {
    const pool = this.#model.serviceOf.get(group)?.pool.pool;
    return pool === undefined ? undefined : this.#fleet.resting.homeOf(device, pool);
  }

  /** The session without the place it leaves, if that is over. */
  #withoutLeft(session: SessionRow): SessionRow {
    const { leaving } = session;
    if (leaving === null) return session;
    const facts = this.#fleet.device(session.device);
    const isOver = this.#handovers.isOver(session, leaving, facts, this.#judge.verdictOf(leaving.instance));
    return isOver ? { ...session, leaving: null } : session;
  }

  /** Nobody hears the instance that was to take over, or its devices say that it is dead. */
  #isPlaceLost(device: string): boolean {
    const place = this.#model.sessionByDevice.get(device)?.place;
    if (place?.is !== "attached") return false;
    const isHeard = this.#fleet.instance(place.instance)?.link !== undefined;
    return !isHeard || this.#judge.verdictOf(place.instance).is === "gone";
  }

  #note({ id, group }: DeviceRow, next: SessionRow | undefined, now: Instant): void {
    const facts = this.#fleet.device(id);
    const isDeferred = next === undefined && facts?.report?.wants === "attached" && facts.link !== undefined;
    if (next?.place.is === "waiting") {
      this.#seekers.add(group, id);
      this.#uneasy.delete(id);
    } else this.#rest(id);
    if (isDeferred || (next !== undefined && this.#isUneasy(next, now))) this.#uneasy.add(id);
    if (next?.place.is === "attached") this.#refusals.forget(next.id);
  }

  #rest(device: string): void {
    this.#seekers.delete(device);
    this.#uneasy.delete(device);
  }

  /** It should be elsewhere and cannot, or will have to be when its device is heard. */
  #isUneasy(session: SessionRow, now: Instant): boolean {
    const { place, leaving } = session;
    // What it leaves may be good again, however full the others are.
    if (place.is === "waiting") return leaving !== null;
    if (this.#judge.verdictOf(place.instance).is === "serving")
      return this.#judge.fateOf(session, now) !== "stay" || this.#judge.lone.isLasting(session.device);
    if (this.#judge.fateOf(session, now) !== "stay") return leaving === null;
    return this.#judge.testimonyOf(session, now) === "unheard";
  }

  #sleep(isSettled: boolean, now: Instant): void {
    if (this.#seekers.size + this.#uneasy.size === 0) return;
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

/** Devices of one pass: those of the largest instance there is, and then some. */
const passMax = 2_048;
