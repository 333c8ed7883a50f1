import type { ControllerEffect, ControllerInput } from "../../controller/core/effects.ts";
import { servesPool } from "../../controller/core/model.ts";
import type { Plan, SessionRow } from "../../controller/core/rows.ts";
import { coreDefaults } from "../../controller/core/settings.ts";
import type { ClientMessage, StateFrame } from "../../protocol/messages.ts";
import type { SessionOutcome } from "../../protocol/state.ts";
import type { InstanceStatus, PoolCounts } from "../../protocol/view.ts";
import { check } from "./finding.ts";
import type { World } from "./world.ts";

interface Told {
  link: number | undefined;
  /** When something came over it last. */
  heardAtMs: number;
  /** It has said goodbye, or its devices have condemned it, which holds until then. */
  avoidedUntilMs: number;
  status: InstanceStatus | undefined;
  readonly pools: Map<string, PoolCounts>;
}

/** What a device said last of its path. */
interface Word {
  readonly session: string;
  readonly epoch: number;
  readonly instance: string;
  readonly verdict: string;
}

/** Three heartbeats without a word and the time to notice: nobody is on such a link. */
const silentMs = coreDefaults.heartbeatMs.agent * coreDefaults.silentHeartbeats + 2_000;

interface Eligible {
  readonly id: string;
  readonly name: string;
  /** Sessions placed on it or attached to it. */
  readonly load: number;
}

/** What the controller has been told of the instances, as simply as it can be kept, and who should get the next session. */
export class Mirror {
  readonly #world: World;
  readonly #keys = new Map<number, string>();
  /** By instance. */
  readonly #told = new Map<string, Told>();
  /** Instances that have refused a session or ended it: they may be left out. */
  readonly #refused = new Set<string>();
  /** Names of instances that a device has called dead: they may be avoided. */
  readonly #doubted = new Set<string>();
  /** By the link of the device. */
  readonly #words = new Map<number, Word>();

  constructor(world: World) {
    this.#world = world;
  }

  clear(): void {
    this.#keys.clear();
    this.#told.clear();
    this.#refused.clear();
    this.#doubted.clear();
    this.#words.clear();
  }

  /** Instances that may get a session of this pool now, and that nobody has called dead. */
  open(pool: string): string[] {
    const sessions = new Map(this.#world.controller.tables.all("session").map((row) => [row.id, row]));
    return this.#eligible(pool, sessions).flatMap(({ id, name }) => (this.#doubted.has(name) ? [] : [id]));
  }

  before(input: ControllerInput): void {
    switch (input.kind) {
      case "received":
        this.#received(input.link, input.message);
        return;
      case "disconnected":
        this.#over(input.link);
        return;
      case "connected":
      case "unreadable":
      case "unknown":
      case "verified":
      case "command":
      case "stored":
      case "storeFailed":
      case "tokens":
      case "stop":
      case "tick":
        return;
    }
  }

  after(effects: readonly ControllerEffect[]): void {
    for (const effect of effects) {
      switch (effect.do) {
        case "send":
          if (effect.message.type === "welcome") this.#welcomed(effect.link);
          break;
        case "close":
          this.#over(effect.link);
          break;
        case "store":
          this.#decided(effect.plan);
          break;
        case "trust":
        case "verify":
        case "answer":
        case "tell":
          break;
      }
    }
  }

  #received(link: number, message: ClientMessage): void {
    if (message.type === "hello" || message.type === "enrol" || message.type === "join")
      this.#keys.set(link, message.identityKey);
    const told = [...this.#told].find(([, one]) => one.link === link);
    if (told !== undefined) told[1].heardAtMs = this.#world.agenda.nowMs;
    if (told !== undefined && message.type === "goodbye") told[1].avoidedUntilMs = Number.POSITIVE_INFINITY;
    if (message.type !== "state") return;
    if (told !== undefined) this.#reported(told[0], told[1], message);
    else this.#testified(link, message);
  }

  #testified(link: number, { from, part, set, remove }: StateFrame): void {
    if ((from === 0 && part === 0) || remove.includes("path")) this.#words.delete(link);
    for (const [name, value] of set) {
      if (name !== "path") continue;
      const word = value as Word;
      this.#words.set(link, word);
      if (word.verdict !== "dead") continue;
      const device = this.#world.devices.find(({ identityKey }) => identityKey === this.#keys.get(link));
      if (device !== undefined) device.saidDeadAtMs = this.#world.agenda.nowMs;
      this.#doubted.add(word.instance);
      this.#condemn(word.instance);
    }
  }

  /** Two who say dead, and not fewer than say alive, each of the session it has there: no session for a while. */
  #condemn(name: string): void {
    const { tables } = this.#world.controller;
    const id = tables.all("instance").find((row) => row.name === name)?.id;
    const told = id === undefined ? undefined : this.#told.get(id);
    const { nowMs } = this.#world.agenda;
    if (id === undefined || told?.link === undefined || told.avoidedUntilMs > 0) return;
    const counts = { alive: 0, dead: 0 };
    for (const { session, epoch, instance, verdict } of this.#words.values()) {
      const row = tables.get("session", session);
      const isThere = row?.place.is === "attached" && row.place.instance === id && row.epoch === epoch;
      if (isThere && instance === name) counts[verdict === "dead" ? "dead" : "alive"] += 1;
    }
    if (counts.dead >= coreDefaults.witnessesMin && counts.dead >= counts.alive)
      told.avoidedUntilMs = nowMs + coreDefaults.holdDownMs;
  }

  #welcomed(link: number): void {
    const key = this.#keys.get(link);
    const row = this.#world.controller.tables.all("instance").find(({ identityKey }) => identityKey === key);
    if (row !== undefined) {
      const { nowMs } = this.#world.agenda;
      const nothing = { status: undefined, pools: new Map(), avoidedUntilMs: 0 };
      this.#told.set(row.id, { link, heardAtMs: nowMs, ...nothing });
    }
  }

  #over(link: number): void {
    this.#keys.delete(link);
    this.#words.delete(link);
    for (const told of this.#told.values()) if (told.link === link) told.link = undefined;
  }

  #reported(instance: string, told: Told, { from, part, set, remove }: StateFrame): void {
    if (from === 0 && part === 0) told.pools.clear();
    for (const name of remove) told.pools.delete(name.slice("pool/".length));
    for (const [name, value] of set) {
      if (name === "instance") told.status = (value as { status: InstanceStatus }).status;
      if (name.startsWith("pool/")) told.pools.set(name.slice("pool/".length), value as PoolCounts);
      if (name.startsWith("session/") && (value as SessionOutcome).outcome !== "granted") {
        this.#refused.add(`${name.slice("session/".length)} ${instance}`);
      }
    }
  }

  /** Invariant 9: who is placed by this plan, one after the other. */
  #decided({ changes }: Plan): void {
    const sessions = new Map(this.#world.controller.tables.all("session").map((row) => [row.id, row]));
    for (const change of changes) {
      if (change.table !== "session") continue;
      if (!("put" in change)) {
        sessions.delete(change.remove);
        continue;
      }
      const before = sessions.get(change.put.id);
      // What leaves its place makes no room before its instance says so, but it is no load any more.
      const { put } = change;
      sessions.delete(put.id);
      const wasThere = before?.place.is !== "waiting" && before?.place;
      const isNew = put.place.is === "placed" && !(wasThere && wasThere.instance === put.place.instance);
      if (isNew) this.#placed(put, before, sessions);
      sessions.set(put.id, put);
    }
  }

  #placed(
    { id, place }: SessionRow,
    before: SessionRow | undefined,
    sessions: ReadonlyMap<string, SessionRow>,
  ): void {
    if (place.is !== "placed") return;
    const { tables } = this.#world.controller;
    // Where it still has an address it needs no other.
    const isBack = before?.leaving?.instance === place.instance;
    const eligible = this.#eligible(place.pool, sessions, isBack ? place.instance : undefined);
    const chosen = eligible.find((one) => one.id === place.instance);
    check(
      chosen !== undefined,
      9,
      () => `${id} is placed on ${place.instance}; eligible: ${JSON.stringify(eligible)}`,
    );
    if (tables.get("connector", "prod")?.mode === "active-standby") return;
    const better = eligible.find(({ id: other, name, load }) => {
      const isAvoided = this.#refused.has(`${id} ${other}`) || this.#doubted.has(name);
      return load < chosen.load && !isAvoided;
    });
    check(
      better === undefined,
      9,
      () => `${id} is placed on ${JSON.stringify(chosen)}, not on ${JSON.stringify(better)}`,
    );
  }

  #eligible(pool: string, sessions: ReadonlyMap<string, SessionRow>, own?: string): Eligible[] {
    return this.#world.controller.tables.all("instance").flatMap((row) => {
      const told = this.#told.get(row.id);
      if (told?.link === undefined || told.status !== "Active" || row.drainSinceMs !== null) return [];
      if (!servesPool(row, pool)) return [];
      const { nowMs } = this.#world.agenda;
      if (nowMs - told.heardAtMs > silentMs || nowMs < told.avoidedUntilMs - 1) return [];
      const there = [...sessions.values()].filter(
        ({ place }) => place.is !== "waiting" && place.instance === row.id,
      );
      const promised = there.filter(({ place }) => place.is === "placed" && place.pool === pool).length;
      const free = (told.pools.get(pool)?.free ?? 0) - promised;
      return free > 0 || row.id === own ? [{ id: row.id, name: row.name, load: there.length }] : [];
    });
  }
}
