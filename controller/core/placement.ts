import type { FailureCode } from "../../protocol/failures.ts";
import type { Fleet } from "./fleet.ts";
import type { Trust } from "./judgement.ts";
import { type Model, servesPool } from "./model.ts";
import type { InstanceRow } from "./rows.ts";
import type { Room } from "./seekers.ts";

export interface Place {
  readonly instance: string;
  readonly pool: string;
}

/** Who asks for a place, as far as it narrows the choice. */
export interface Seeker {
  readonly group: string;
  /** It has to get off this instance, whoever carries. */
  readonly off?: string | undefined;
  /** Where the address it had rests for it: it gets that instance, also when all other addresses there are taken. */
  readonly home?: string | undefined;
  /** It still has its address there: if nothing else is to be had, that is where it stays. */
  readonly left?: string | undefined;
  /** The instance did not serve it just now. */
  readonly isRefusedBy?: (instance: string) => boolean;
  /** It has no place at all: one that is doubted is better than none. */
  readonly hasNone?: boolean | undefined;
}

interface Candidate {
  readonly id: string;
  readonly isDoubted: boolean;
  /** Sessions placed on it, with those of this pass. */
  load: number;
  readonly shares: Map<string, Share>;
}

/** What one instance has of one pool. */
interface Share {
  readonly of: Candidate;
  /** Free addresses, less those promised to sessions that are not granted yet. */
  free: number;
}

interface Group {
  /** In active-standby, the one that carries; null: none does yet. */
  readonly carrier: string | null | undefined;
  /** The Active instances. */
  readonly candidates: ReadonlyMap<string, Candidate>;
  /** By pool. */
  readonly shares: ReadonlyMap<string, readonly Share[]>;
}

/**
 * Where the sessions of one pass go: to the Active instance with the least sessions that has a free address in the
 * group's pool; among equals to the one with the most of these, and then to the next in turn. It counts what the pass
 * itself gives and takes, so a thousand sessions in one pass spread as if they had come one after the other. A pool is of
 * one group, so no group can take another's addresses, and the order costs nobody a place. Made anew for each pass; costs
 * O(instances) once and O(instances) per session.
 */
export class Placement {
  readonly #model: Model;
  readonly #fleet: Fleet;
  readonly #groups = new Map<string, Group>();
  readonly #trustIn: (instance: string) => Trust;
  #turn: number;

  /** `turn` rotates: among equals, the next one is taken. `trustIn`: what speaks against an instance. */
  constructor(model: Model, fleet: Fleet, turn: number, trustIn: (instance: string) => Trust = () => "open") {
    this.#model = model;
    this.#fleet = fleet;
    this.#turn = turn;
    this.#trustIn = trustIn;
  }

  /** A place for a session, which is taken by this call; or why there is none. */
  take(seeker: Seeker): Place | FailureCode {
    const service = this.#model.serviceOf.get(seeker.group);
    if (service === undefined) return "placement.no-connector";
    const { pool } = service.pool;
    const ofPool = this.#sharesOf(service.connector, pool, seeker.off);
    const chosen =
      this.#choose(ofPool, seeker, false) ??
      this.#choose(this.#leftOf(service.connector, pool, seeker), { ...seeker, home: seeker.left }, false) ??
      (seeker.hasNone ? this.#choose(ofPool, seeker, true) : undefined);
    if (chosen === undefined) return ofPool.length === 0 ? "placement.no-instance" : "placement.no-address";
    chosen.of.load += 1;
    chosen.free -= 1;
    this.#turn += 1;
    return { instance: chosen.of.id, pool };
  }

  /** A session leaves its place in this pass. Its address is not free yet: the instance will tell. */
  leave(instance: string, wasInFlight: string | undefined): void {
    const row = this.#model.instances.get(instance);
    const candidate = row && this.#group(row.connector).candidates.get(instance);
    if (candidate === undefined) return;
    candidate.load -= 1;
    const share = wasInFlight === undefined ? undefined : candidate.shares.get(wasInFlight);
    if (share !== undefined) share.free += 1;
  }

  /**
   * Devices in the order in which they are best served: those whose group has the fewest instances to go to first, so that
   * the others fill what is low then. Otherwise a group that may go anywhere would load the one instance another needs.
   */
  devicesInOrder(devices: ReadonlySet<string>): Iterable<string> {
    const byGroup = new Map<string, string[]>();
    for (const id of devices) {
      const group = this.#model.devices.get(id)?.group ?? "";
      const others = byGroup.get(group);
      if (others === undefined) byGroup.set(group, [id]);
      else others.push(id);
    }
    if (byGroup.size < 2) return devices;
    return this.inOrder(byGroup.keys()).flatMap((group) => byGroup.get(group) ?? []);
  }

  /** Groups, those with the fewest instances to go to first. */
  inOrder(groups: Iterable<string>): string[] {
    const open = new Map([...groups].map((group) => [group, this.#openTo(group)]));
    return [...open].toSorted(([, a], [, b]) => a - b).map(([group]) => group);
  }

  /** What a group may hope for as things are. */
  roomFor(group: string): Room {
    const service = this.#model.serviceOf.get(group);
    if (service === undefined) return { free: 0, code: "placement.no-connector" };
    const shares = this.#sharesOf(service.connector, service.pool.pool, undefined);
    if (shares.length === 0) return { free: 0, code: "placement.no-instance" };
    const free = shares.reduce((sum, share) => sum + Math.max(0, share.free), 0);
    return { free, code: free === 0 ? "placement.no-address" : undefined };
  }

  #openTo(group: string): number {
    const service = this.#model.serviceOf.get(group);
    if (service === undefined) return 0;
    const shares = this.#group(service.connector).shares.get(service.pool.pool) ?? [];
    return shares.filter(({ of, free }) => free > 0 && !of.isDoubted).length;
  }

  #sharesOf(connector: string, pool: string, off: string | undefined): readonly Share[] {
    const { shares, carrier } = this.#group(connector);
    const all = shares.get(pool) ?? [];
    const isOnlyOne = carrier !== undefined && (carrier === null || off !== carrier);
    return isOnlyOne ? all.filter(({ of }) => of.id === carrier) : all;
  }

  /** Where the session still is, whoever carries. */
  #leftOf(connector: string, pool: string, { left }: Seeker): readonly Share[] {
    if (left === undefined) return [];
    return (this.#group(connector).shares.get(pool) ?? []).filter(({ of }) => of.id === left);
  }

  #choose(
    shares: readonly Share[],
    { off, home, isRefusedBy }: Seeker,
    isDoubted: boolean,
  ): Share | undefined {
    let best: Share | undefined;
    for (let i = 0; i < shares.length; i++) {
      const share = shares[(i + this.#turn) % shares.length];
      if (share === undefined || share.of.id === off || share.of.isDoubted !== isDoubted) continue;
      const { id, load } = share.of;
      const isHome = id === home;
      if (share.free <= 0 && !isHome) continue;
      const isBetter =
        isHome ||
        best === undefined ||
        load < best.of.load ||
        (load === best.of.load && share.free > best.free);
      if (!isBetter || isRefusedBy?.(id)) continue;
      best = share;
      if (isHome) return best;
    }
    return best;
  }

  #group(connector: string): Group {
    let group = this.#groups.get(connector);
    if (group === undefined) {
      const candidates = new Map<string, Candidate>();
      const shares = new Map<string, Share[]>();
      for (const row of this.#model.instancesOf(connector)) {
        const candidate = this.#candidate(row);
        if (candidate === undefined) continue;
        candidates.set(row.id, candidate);
        for (const [pool, share] of candidate.shares) {
          const others = shares.get(pool);
          if (others === undefined) shares.set(pool, [share]);
          else others.push(share);
        }
      }
      const isOneCarrying = this.#model.connectors.get(connector)?.mode === "active-standby";
      const carrier = isOneCarrying ? (this.#model.carriers.get(connector)?.instance ?? null) : undefined;
      group = { carrier, candidates, shares };
      this.#groups.set(connector, group);
    }
    return group;
  }

  #candidate(row: InstanceRow): Candidate | undefined {
    const facts = this.#fleet.instance(row.id);
    const isActive = facts?.link !== undefined && facts.report?.status === "Active";
    const trust = this.#trustIn(row.id);
    if (!isActive || row.drainSinceMs !== null || trust === "closed") return undefined;
    const shares = new Map<string, Share>();
    const candidate = {
      id: row.id,
      isDoubted: trust === "doubted",
      load: this.#model.sessionsOn(row.id).size,
      shares,
    };
    for (const [pool, counts] of facts.pools) {
      if (!servesPool(row, pool)) continue;
      shares.set(pool, { of: candidate, free: counts.free - this.#model.inFlight(row.id, pool) });
    }
    return candidate;
  }
}
