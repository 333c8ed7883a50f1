import type { FailureCode } from "../../protocol/failures.ts";
import type { Fleet } from "./fleet.ts";
import { type Model, servesPool } from "./model.ts";
import type { InstanceRow } from "./rows.ts";

export interface Place {
  readonly instance: string;
  readonly pool: string;
}

interface Candidate {
  readonly id: string;
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
  readonly isOneCarrying: boolean;
  /** The Active instances. */
  readonly candidates: ReadonlyMap<string, Candidate>;
  /** By pool. */
  readonly shares: ReadonlyMap<string, readonly Share[]>;
}

/**
 * Where the sessions of one pass go: to the Active instance with the least sessions that has a free address in the
 * group's pool. It counts what the pass itself gives and takes, so a thousand sessions in one pass spread as if they
 * had come one after the other. Made anew for each pass; costs O(instances) once and O(instances) per session.
 */
export class Placement {
  readonly #model: Model;
  readonly #fleet: Fleet;
  readonly #groups = new Map<string, Group>();
  readonly #isOpen: (instance: string) => boolean;
  #turn: number;

  /** `turn` rotates: among equals, the next one is taken. `isOpen`: nothing speaks against an instance. */
  constructor(model: Model, fleet: Fleet, turn: number, isOpen: (instance: string) => boolean = () => true) {
    this.#model = model;
    this.#fleet = fleet;
    this.#turn = turn;
    this.#isOpen = isOpen;
  }

  /**
   * A place for a session of the group, which is taken by this call; or why there is none. `left`: the place it is leaving
   * and has an address in. When there is no other, and nothing speaks against that any more, it goes back there.
   */
  take(group: string, isExcluded: (instance: string) => boolean, left?: Place | null): Place | FailureCode {
    const service = this.#model.serviceOf.get(group);
    if (service === undefined) return "placement.no-connector";
    const { pool } = service.pool;
    const { shares, isOneCarrying } = this.#group(service.connector);
    const ofPool = shares.get(pool);
    if (ofPool === undefined) return "placement.no-instance";
    const other = this.#choose(ofPool, isOneCarrying, isExcluded);
    const back = ofPool.find(
      ({ of }) => of.id === left?.instance && pool === left.pool && !isExcluded(of.id),
    );
    const chosen = other ?? back;
    if (chosen === undefined) return "placement.no-address";
    chosen.of.load += 1;
    if (chosen === other) chosen.free -= 1;
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

  #choose(
    shares: readonly Share[],
    isOneCarrying: boolean,
    isExcluded: (instance: string) => boolean,
  ): Share | undefined {
    let best: Share | undefined;
    for (let i = 0; i < shares.length; i++) {
      // In active-standby the one that carries goes on carrying, in stable order; else the next in turn.
      const share = shares[isOneCarrying ? i : (i + this.#turn) % shares.length];
      if (share === undefined || share.free <= 0) continue;
      const { id, load } = share.of;
      const isBetter = best === undefined || (isOneCarrying ? load > best.of.load : load < best.of.load);
      if (isBetter && !isExcluded(id)) best = share;
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
      group = { isOneCarrying, candidates, shares };
      this.#groups.set(connector, group);
    }
    return group;
  }

  #candidate(row: InstanceRow): Candidate | undefined {
    const facts = this.#fleet.instance(row.id);
    const isActive = facts?.link !== undefined && facts.report?.status === "Active";
    if (!isActive || row.drainSinceMs !== null || !this.#isOpen(row.id)) return undefined;
    const shares = new Map<string, Share>();
    const candidate = { id: row.id, load: this.#model.sessionsOn(row.id).size, shares };
    for (const [pool, counts] of facts.pools) {
      if (!servesPool(row, pool)) continue;
      shares.set(pool, { of: candidate, free: counts.free - this.#model.inFlight(row.id, pool) });
    }
    return candidate;
  }
}
