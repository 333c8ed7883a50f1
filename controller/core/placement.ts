import type { FailureCode } from "../../protocol/failures.ts";
import type { Fleet } from "./fleet.ts";
import { type Model, servesPool } from "./model.ts";
import type { InstanceRow } from "./rows.ts";

export interface Place {
  readonly instance: string;
  readonly pool: string;
}

interface Candidate {
  readonly row: InstanceRow;
  /** Sessions placed on it, with those of this pass. */
  load: number;
  /** Free addresses by pool, less those promised to sessions that are not granted yet. */
  readonly free: Map<string, number>;
}

/**
 * Where the sessions of one pass go: to the Active instance with the least sessions that has a free address in the
 * group's pool. It counts what the pass itself gives and takes, so a thousand sessions in one pass spread as if they
 * had come one after the other. Made anew for each pass; costs O(instances) once and O(instances) per session.
 */
export class Placement {
  readonly #model: Model;
  readonly #fleet: Fleet;
  readonly #candidates = new Map<string, Candidate[]>();
  #turn: number;

  /** `turn` rotates: among equals, the next one is taken. */
  constructor(model: Model, fleet: Fleet, turn: number) {
    this.#model = model;
    this.#fleet = fleet;
    this.#turn = turn;
  }

  /** A place for a session of the group, which is taken by this call; or why there is none. */
  take(group: string, isExcluded: (instance: string) => boolean): Place | FailureCode {
    const service = this.#model.serviceOf.get(group);
    if (service === undefined) return "placement.no-connector";
    const { pool } = service.pool;
    const active = this.#active(service.connector).filter(({ free }) => free.has(pool));
    if (active.length === 0) return "placement.no-instance";
    const open = active.filter(({ row, free }) => (free.get(pool) ?? 0) > 0 && !isExcluded(row.id));
    const chosen = this.#choose(
      open,
      this.#model.connectors.get(service.connector)?.mode === "active-standby",
    );
    if (chosen === undefined) return "placement.no-address";
    chosen.load += 1;
    chosen.free.set(pool, (chosen.free.get(pool) ?? 0) - 1);
    this.#turn += 1;
    return { instance: chosen.row.id, pool };
  }

  /** A session leaves its place in this pass. Its address is not free yet: the instance will tell. */
  leave(instance: string, wasInFlight: string | undefined): void {
    const row = this.#model.instances.get(instance);
    const candidate = row && this.#active(row.connector).find((one) => one.row.id === instance);
    if (candidate === undefined) return;
    candidate.load -= 1;
    const free = wasInFlight === undefined ? undefined : candidate.free.get(wasInFlight);
    if (wasInFlight !== undefined && free !== undefined) candidate.free.set(wasInFlight, free + 1);
  }

  #choose(open: readonly Candidate[], isOneCarrying: boolean): Candidate | undefined {
    let best: Candidate | undefined;
    for (let i = 0; i < open.length; i++) {
      // In active-standby the one that carries goes on carrying, in stable order; else the next in turn.
      const candidate = open[isOneCarrying ? i : (i + this.#turn) % open.length];
      if (candidate === undefined) continue;
      if (best === undefined || (isOneCarrying ? candidate.load > best.load : candidate.load < best.load)) {
        best = candidate;
      }
    }
    return best;
  }

  #active(connector: string): Candidate[] {
    let candidates = this.#candidates.get(connector);
    if (candidates === undefined) {
      candidates = this.#model.instancesOf(connector).flatMap((row) => this.#candidate(row) ?? []);
      this.#candidates.set(connector, candidates);
    }
    return candidates;
  }

  #candidate(row: InstanceRow): Candidate | undefined {
    const facts = this.#fleet.instance(row.id);
    const isActive = facts?.link !== undefined && facts.report?.status === "Active";
    if (!isActive || row.drainSinceMs !== null) return undefined;
    const free = new Map<string, number>();
    for (const [pool, counts] of facts.pools) {
      if (servesPool(row, pool)) free.set(pool, counts.free - this.#model.inFlight(row.id, pool));
    }
    return { row, load: this.#model.sessionsOn(row.id).size, free };
  }
}
