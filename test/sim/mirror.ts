import type { ControllerEffect, ControllerInput } from "../../controller/core/effects.ts";
import { servesPool } from "../../controller/core/model.ts";
import { isEmptied } from "../../controller/core/restart-row.ts";
import type { Plan, SessionRow } from "../../controller/core/rows.ts";
import { coreDefaults } from "../../controller/core/settings.ts";
import type { ClientMessage, StateFrame } from "../../protocol/messages.ts";
import type { SessionOutcome } from "../../protocol/state.ts";
import type { InstanceStatus, PoolCounts } from "../../protocol/view.ts";
import { Condemnation } from "./condemnation.ts";
import { check } from "./finding.ts";
import type { World } from "./world.ts";

interface Told {
  link: number | undefined;
  /** When something came over it last. */
  heardAtMs: number;
  hasSaidGoodbye: boolean;
  status: InstanceStatus | undefined;
  readonly pools: Map<string, PoolCounts>;
}

/** Three heartbeats without a word and the time to notice: nobody is on such a link. */
const silentMs = coreDefaults.heartbeatMs.agent * coreDefaults.silentHeartbeats + 2_000;

/** So long a controller that has started waits for its group: in numbers here, so that it is no mirror of the setting. */
const gatheringMs = 3_000;

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
  /** Instances that have refused a session, ended it or gave it what is another's: they may be left out. */
  readonly #refused = new Set<string>();
  /** Names of instances that a device has called dead: they may be avoided. */
  readonly #doubted = new Set<string>();
  readonly #condemnation: Condemnation;
  #startedAtMs = 0;
  /** An instance had a link again while no other had one: the controller may take it that itself was away. */
  #firstBackAtMs = Number.NEGATIVE_INFINITY;
  /** All instances have reported since then. */
  #areBack = false;
  /** `instance device/pool` of the addresses that rest for somebody. */
  readonly #resting = new Set<string>();

  constructor(world: World) {
    this.#world = world;
    this.#condemnation = new Condemnation(world, () => this.#isGathering);
  }

  /** The controller begins anew. */
  clear(): void {
    this.#startedAtMs = this.#world.agenda.nowMs;
    this.#firstBackAtMs = Number.NEGATIVE_INFINITY;
    this.#areBack = this.#world.controller.tables.all("instance").length === 0;
    this.#keys.clear();
    this.#told.clear();
    this.#refused.clear();
    this.#doubted.clear();
    this.#condemnation.clear();
  }

  /** Instances that may get a session of this pool now, and that nobody has called dead. */
  open(pool: string): string[] {
    const sessions = new Map(this.#world.controller.tables.all("session").map((row) => [row.id, row]));
    const { tables } = this.#world.controller;
    const isOneCarrying = tables.get("connector", "prod")?.mode === "active-standby";
    const carrier = tables.get("carrier", "prod")?.instance;
    return this.#eligible(pool, sessions)
      .filter(({ id, name }) => !this.#doubted.has(name) && (!isOneCarrying || id === carrier))
      .map(({ id }) => id);
  }

  before(input: ControllerInput): void {
    this.#condemnation.before(input);
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
    if (message.type === "hello" || message.type === "enrol") this.#keys.set(link, message.identityKey);
    const told = [...this.#told].find(([, one]) => one.link === link);
    if (told !== undefined) {
      told[1].heardAtMs = this.#world.agenda.nowMs;
      told[1].hasSaidGoodbye ||= message.type === "goodbye";
    }
    if (message.type !== "state") return;
    if (told !== undefined) this.#reported(told[0], told[1], message);
    for (const [name, value] of message.set) {
      const { verdict, instance } = value as { verdict?: string; instance?: string };
      if (name === "path" && verdict === "dead" && instance !== undefined) this.#doubted.add(instance);
    }
  }

  #welcomed(link: number): void {
    const key = this.#keys.get(link);
    const row = this.#world.controller.tables.all("instance").find(({ identityKey }) => identityKey === key);
    if (row === undefined) return;
    const { nowMs: heardAtMs } = this.#world.agenda;
    const isAlone = [...this.#told].every(([id, told]) => id === row.id || told.link === undefined);
    if (isAlone) this.#firstBackAtMs = heardAtMs;
    const nothing = { status: undefined, pools: new Map(), hasSaidGoodbye: false };
    this.#told.set(row.id, { link, heardAtMs, ...nothing });
    this.#condemnation.forgive(row.name);
  }

  #over(link: number): void {
    this.#keys.delete(link);
    this.#condemnation.over(link);
    for (const told of this.#told.values()) if (told.link === link) told.link = undefined;
  }

  #reported(instance: string, told: Told, { from, part, set, remove }: StateFrame): void {
    if (from === 0 && part === 0) {
      told.pools.clear();
      for (const key of this.#resting) if (key.startsWith(`${instance} `)) this.#resting.delete(key);
    }
    const isOfStatus = set.some(([name]) => name === "instance");
    for (const name of remove) this.#resting.delete(`${instance} ${name.slice("lease/".length)}`);
    for (const name of remove) told.pools.delete(name.slice("pool/".length));
    for (const [name, value] of set) {
      if (name === "instance") told.status = (value as { status: InstanceStatus }).status;
      if (name.startsWith("pool/")) told.pools.set(name.slice("pool/".length), value as PoolCounts);
      if (name.startsWith("lease/")) this.#rests(`${instance} ${name.slice("lease/".length)}`, value);
      if (name.startsWith("session/")) {
        this.#became(instance, name.slice("session/".length), value as SessionOutcome);
      }
    }
    if (isOfStatus) this.#haveReturned();
  }

  /** It may give what another has there, as where each knows of other grants after the controller was restored. */
  #became(instance: string, id: string, said: SessionOutcome): void {
    const isAnothers = this.#world.controller.tables.all("session").some(({ id: other, place }) => {
      if (said.outcome !== "granted" || other === id) return false;
      if (place.is !== "attached" || place.instance !== instance) return false;
      return [place.ipv4, place.ipv6].some((address) => {
        return address !== undefined && (address === said.ipv4 || address === said.ipv6);
      });
    });
    if (said.outcome !== "granted" || isAnothers) this.#refused.add(`${id} ${instance}`);
  }

  /** How long the controller has waited for its group, while it has to. */
  get #gatheringForMs(): number | undefined {
    const startedForMs = this.#world.agenda.nowMs - this.#startedAtMs;
    return this.#haveReturned() || startedForMs >= gatheringMs ? undefined : startedForMs;
  }

  get #isGathering(): boolean {
    const { nowMs } = this.#world.agenda;
    return this.#gatheringForMs !== undefined || nowMs < this.#firstBackAtMs + gatheringMs;
  }

  #haveReturned(): boolean {
    this.#areBack ||= this.#world.controller.tables.all("instance").every(({ id }) => {
      const told = this.#told.get(id);
      return told?.hasSaidGoodbye || (told?.link !== undefined && told.status !== undefined);
    });
    return this.#areBack;
  }

  #rests(key: string, lease: unknown): void {
    if ((lease as { state: string }).state === "cooling") this.#resting.add(key);
    else this.#resting.delete(key);
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
    { id, device, place }: SessionRow,
    before: SessionRow | undefined,
    sessions: ReadonlyMap<string, SessionRow>,
  ): void {
    if (place.is !== "placed") return;
    const { tables } = this.#world.controller;
    const gatheringForMs = this.#gatheringForMs;
    check(
      gatheringForMs === undefined,
      9,
      () => `${id} is placed ${gatheringForMs} ms after the start, before all instances are back`,
    );
    const isHome = this.#resting.has(`${place.instance} ${device}/${place.pool}`);
    if (before === undefined && isHome) return;
    // Where it still has an address it needs no other.
    const isBack = before?.leaving?.instance === place.instance;
    const own = isBack ? place.instance : undefined;
    const trusted = this.#eligible(place.pool, sessions, own);
    const eligible = this.#hasNoOther(id, before, trusted)
      ? this.#eligible(place.pool, sessions, own, true)
      : trusted;
    const chosen = eligible.find((one) => one.id === place.instance);
    check(
      chosen !== undefined,
      9,
      () => `${id} is placed on ${place.instance}; eligible: ${JSON.stringify(eligible)}`,
    );
    if (tables.get("connector", "prod")?.mode === "active-standby") {
      const carrier = tables.get("carrier", "prod")?.instance;
      const mayLeave =
        before !== undefined && before.place.is !== "waiting" && before.place.instance === carrier;
      // Who finds no place where the others are goes back to the one it has not left yet.
      check(
        place.instance === carrier || mayLeave || isBack,
        9,
        () => `${id} is placed on the standby ${chosen.name}`,
      );
      return;
    }
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

  /** Who has no place, and finds none that nobody condemns, may try one that is condemned. */
  #hasNoOther(id: string, before: SessionRow | undefined, trusted: readonly Eligible[]): boolean {
    if (before !== undefined && before.place.is !== "waiting") return false;
    const { tables } = this.#world.controller;
    const isOneCarrying = tables.get("connector", "prod")?.mode === "active-standby";
    const carrier = tables.get("carrier", "prod")?.instance;
    const others = isOneCarrying ? trusted.filter((one) => one.id === carrier) : trusted;
    // Of those whom a device has called dead the controller may have condemned more than is known here.
    return others.every((one) => this.#refused.has(`${id} ${one.id}`) || this.#doubted.has(one.name));
  }

  #eligible(
    pool: string,
    sessions: ReadonlyMap<string, SessionRow>,
    own?: string,
    isCondemnedToo = false,
  ): Eligible[] {
    return this.#world.controller.tables.all("instance").flatMap((row) => {
      const told = this.#told.get(row.id);
      if (told?.link === undefined || told.status !== "Active" || row.drainSinceMs !== null) return [];
      if (!servesPool(row, pool)) return [];
      const steps = this.#world.controller.tables.get("restart", "prod")?.steps ?? [];
      if (isEmptied(steps.find(({ instance }) => instance === row.id)?.stage)) return [];
      const isSilent = this.#world.agenda.nowMs - told.heardAtMs > silentMs;
      if (isSilent || told.hasSaidGoodbye) return [];
      if (!isCondemnedToo && !this.#condemnation.isOver(row.name)) return [];
      const there = [...sessions.values()].filter(
        ({ place }) => place.is !== "waiting" && place.instance === row.id,
      );
      const promised = there.filter(({ place }) => place.is === "placed" && place.pool === pool).length;
      const free = (told.pools.get(pool)?.free ?? 0) - promised;
      return free > 0 || row.id === own ? [{ id: row.id, name: row.name, load: there.length }] : [];
    });
  }
}
