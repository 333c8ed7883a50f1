import { earliest, type Instant } from "../../protocol/time.ts";
import { isRelieved } from "./carrier.ts";
import type { Fleet } from "./fleet.ts";
import {
  type Evidence,
  type Fate,
  fateOf,
  fateOfPlaced,
  isCondemned,
  judge,
  judgeAgainAtMs,
  type LinkEvidence,
  serving,
  type Testimony,
  type Verdict,
} from "./judgement.ts";
import { LonePaths } from "./lone-paths.ts";
import type { Model } from "./model.ts";
import type { Move } from "./moves.ts";
import type { Peers } from "./peers.ts";
import { isEmptied } from "./restart-row.ts";
import type { InstanceRow, SessionRow } from "./rows.ts";
import type { CoreSettings } from "./settings.ts";
import { Settling } from "./settling.ts";
import { Timers } from "./timers.ts";
import { Witnesses } from "./witnesses.ts";

interface Standing {
  verdict: Verdict;
  since: Instant;
  /** Sessions moved off it since then. */
  moved: number;
  strikes: number;
  heldDownUntilMs: number;
}

/** Whom there was something new about, and whose verdict that changed. */
export interface Judged {
  readonly looked: readonly string[];
  readonly changed: readonly string[];
}

interface Known {
  readonly model: Model;
  readonly fleet: Fleet;
  readonly peers: Peers;
}

/** One may be late, as long as the next comes in time. */
const overdueHeartbeats = 1.5;

/** An instance that was condemned again is avoided for twice as long, until it was well for `forgiveMs`. */
const holdDown = { doublings: 5, forgiveMs: 600_000 } as const;

/**
 * Keeps the evidence about every instance and the verdicts that follow from it. Work is in proportion to what changed: an
 * instance is judged again when something about it was said or its time has come.
 */
export class Judge {
  readonly settling: Settling;
  readonly witnesses: Witnesses;
  readonly lone: LonePaths;
  readonly #model: Model;
  readonly #fleet: Fleet;
  readonly #peers: Peers;
  readonly #settings: CoreSettings;
  /** BOUNDED: instances. */
  readonly #standings = new Map<string, Standing>();
  readonly #timers = new Timers();
  #toJudge = new Set<string>();
  #wasSettled = false;

  constructor({ model, fleet, peers }: Known, settings: CoreSettings, now: Instant) {
    this.#model = model;
    this.#fleet = fleet;
    this.#peers = peers;
    this.#settings = settings;
    this.settling = new Settling(model, fleet, settings, now);
    this.witnesses = new Witnesses(model, fleet, settings);
    this.lone = new LonePaths(settings);
  }

  verdictOf(instance: string): Verdict {
    const verdict = this.ownVerdictOf(instance);
    return verdict.is === "serving" && isRelieved(instance, this.#model) ? relieved : verdict;
  }

  /** By the evidence about the instance alone, whoever carries. */
  ownVerdictOf(instance: string): Verdict {
    return this.#standings.get(instance)?.verdict ?? serving;
  }

  /** For those who are not serving: since when, and how many sessions left it since. */
  standingOf(instance: string): Readonly<Pick<Standing, "verdict" | "since" | "moved">> | undefined {
    return this.#standings.get(instance);
  }

  /** Something was said about an instance. */
  look(instance: string): void {
    this.#toJudge.add(instance);
  }

  /** An instance has a link again, which it had lost then: what it says from now on is news. */
  back(instance: string, isAlone: boolean, lostAtMs: number | undefined, now: Instant): void {
    const standing = this.#standings.get(instance);
    if (standing !== undefined) standing.heldDownUntilMs = 0;
    this.witnesses.isBack(instance);
    if (isAlone && lostAtMs !== undefined) this.settling.firstBack(instance, lostAtMs, now);
    this.look(instance);
  }

  /** A device's word, link or session has changed. */
  hear(device: string, now: Instant): void {
    for (const instance of this.witnesses.look(device)) this.look(instance);
    if (this.witnesses.wordOf(device) === "dead") this.lone.dead(device, now);
    else this.lone.notDead(device, now);
  }

  /** A session was moved off an instance. */
  moved({ device, from, reason }: Move, now: Instant): void {
    const standing = this.#standings.get(from) ?? untold(now);
    standing.moved += 1;
    this.#standings.set(from, standing);
    if (reason !== "path-dead") return;
    this.lone.moved(device, now);
    this.witnesses.left(device, from, now);
  }

  /** Another one carries instead from now on. */
  relieved(instance: string): void {
    const standing = this.#standings.get(instance);
    if (standing !== undefined) standing.moved = 0;
  }

  forget(instance: string): void {
    this.#standings.delete(instance);
    this.#timers.delete(instance);
    this.#toJudge.delete(instance);
  }

  /** Judges those about whom there is something new. */
  run(now: Instant): Judged {
    const isSettled = this.settling.isOver(now);
    if (isSettled && !this.#wasSettled) for (const id of this.#model.instances.keys()) this.look(id);
    this.#wasSettled = isSettled;
    if (!isSettled) return nobody;
    for (const id of this.#timers.take(now.monotonicMs)) this.look(id);
    for (const id of this.witnesses.expire(now)) this.look(id);
    if (this.#toJudge.size === 0) return nobody;
    const looked = [...this.#toJudge];
    this.#toJudge = new Set();
    return { looked, changed: looked.filter((id) => this.#judge(id, now)) };
  }

  nextDeadline(now: Instant): number | undefined {
    if (!this.settling.isOver(now)) return this.settling.endsAtMs;
    return earliest(this.#timers.next(), this.witnesses.nextDeadline());
  }

  /** What the evidence about its instance means for a session, as far as there is a way to go. */
  fateOf(session: SessionRow, now: Instant): Fate {
    const { place } = session;
    if (place.is === "waiting") return "stay";
    const verdict = this.verdictOf(place.instance);
    return place.is === "placed" ? fateOfPlaced(verdict) : fateOf(verdict, this.testimonyOf(session, now));
  }

  testimonyOf({ device }: SessionRow, now: Instant): Testimony {
    const facts = this.#fleet.device(device);
    if (facts?.link === undefined) return "away";
    const word = this.witnesses.wordOf(device);
    if (word === "alive") return "alive";
    if (!this.#isHeard(device, now)) return "unheard";
    if (word === "dead") return this.lone.isLasting(device) ? "lasting" : "dead";
    const { linkedAtMs, report } = facts;
    const isFresh = now.monotonicMs < linkedAtMs + this.#settings.linkGraceMs;
    return isFresh || report === undefined || report.probes === true ? "unheard" : "silent";
  }

  /** Whose heartbeat is overdue may have said what has not arrived. */
  #isHeard(device: string, now: Instant): boolean {
    const heard = this.#peers.of("device", device)?.heard;
    const overdueMs = overdueHeartbeats * this.#settings.heartbeatMs.device;
    return heard !== undefined && now.monotonicMs < heard.monotonicMs + overdueMs;
  }

  #judge(id: string, now: Instant): boolean {
    const row = this.#model.instances.get(id);
    if (row === undefined) return false;
    const before = this.#standings.get(id);
    let evidence = this.#evidence(row, before);
    const isHeldDown = now.monotonicMs < evidence.heldDownUntilMs;
    const standing = before ?? untold(now);
    if (evidence.link.is !== "goodbye" && isCondemned(evidence, this.#settings) && !isHeldDown) {
      this.#strike(standing, now);
      evidence = { ...evidence, heldDownUntilMs: standing.heldDownUntilMs };
    }
    const verdict = judge(evidence, this.#settings, now.monotonicMs);
    const againAtMs = judgeAgainAtMs(evidence, now.monotonicMs);
    if (againAtMs === undefined) this.#timers.delete(id);
    else this.#timers.set(id, againAtMs);
    if (isSame(verdict, standing.verdict)) {
      if (before === undefined && standing.strikes > 0) this.#standings.set(id, standing);
      return false;
    }
    this.#standings.set(id, { ...standing, verdict, since: now, moved: 0 });
    return true;
  }

  #strike(standing: Standing, now: Instant): void {
    const wellForMs = now.monotonicMs - standing.heldDownUntilMs;
    const isForgiven = standing.heldDownUntilMs > 0 && wellForMs > holdDown.forgiveMs;
    standing.strikes = isForgiven ? 1 : standing.strikes + 1;
    const factor = 2 ** Math.min(standing.strikes - 1, holdDown.doublings);
    standing.heldDownUntilMs = now.monotonicMs + this.#settings.holdDownMs * factor;
  }

  #evidence(row: InstanceRow, standing: Standing | undefined): Evidence {
    const { id, drainSinceMs } = row;
    const facts = this.#fleet.instance(id);
    return {
      link: this.#link(id),
      isDrained: drainSinceMs !== null,
      isRestarting: isEmptied(this.#model.restartStage(row)),
      status: facts?.report?.status,
      said: this.witnesses.of(id),
      heldDownUntilMs: standing?.heldDownUntilMs ?? 0,
    };
  }

  #link(id: string): LinkEvidence {
    const facts = this.#fleet.instance(id);
    if (facts?.goodbye !== undefined) return { is: "goodbye" };
    if (facts?.link !== undefined) return { is: "up" };
    const { linkGraceMs, returnGraceMs } = this.#settings;
    const lostAtMs = facts?.lostAtMs;
    // After the controller's own absence it comes back as slowly as clients do.
    return lostAtMs === undefined || this.settling.isOfAbsence(lostAtMs)
      ? { is: "lost", sinceMs: this.settling.sinceMs, graceMs: returnGraceMs }
      : { is: "lost", sinceMs: lostAtMs, graceMs: linkGraceMs };
  }
}

function untold(now: Instant): Standing {
  return { verdict: serving, since: now, moved: 0, strikes: 0, heldDownUntilMs: 0 };
}

function isSame(a: Verdict, b: Verdict): boolean {
  return a.is === b.is && ("why" in a ? a.why : "") === ("why" in b ? b.why : "");
}

const nobody: Judged = { looked: [], changed: [] };

const relieved: Verdict = { is: "leaving", why: "failover" };
