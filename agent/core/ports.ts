import type { Failure, FailureCode, FailureFacts, Result } from "../../protocol/failures.ts";
import type { DnsServers, PoolSpec, ResourceSpec } from "../../protocol/specs.ts";
import type { LeaseView, PoolView, PrefixRow, SessionView, StatusView } from "../../protocol/view.ts";

/** What the core asks of the world. Adapters implement these; the core sees only their results. */

/**
 * One address pair as the database keeps it: one row per pair that was ever leased, so that a free row remembers
 * whose address it was and for how long it has rested. Never changed in place: a new row replaces it.
 */
export interface LeaseRow {
  readonly pool: string;
  /** At least one of the two; the pair is the key, and no address stands in two rows. */
  readonly ipv4: string | undefined;
  readonly ipv6: string | undefined;
  readonly device: string;
  readonly user: string;
  readonly state: "leased" | "cooling" | "free";
  /**
   * The session that uses the lease. On a cooling or free row: the one whose lease expired here while the controller
   * still wanted it, so that a restart does not grant it again.
   */
  readonly session: { readonly id: string; readonly epoch: number } | undefined;
  readonly leaseMinutes: number;
  /** When the state ends, on both clocks; the monotonic time counts only in boot `bootId`. 0 for `free`. */
  readonly untilMonotonicMs: number;
  readonly untilWallMs: number;
  readonly bootId: string;
  /** Counts up over all rows; the free row with the lowest number has rested longest. */
  readonly order: number;
}

/** When the database was last written: after a reboot no time has passed if the wall clock stands before it. */
export interface SavedClock {
  readonly bootId: string;
  readonly monotonicMs: number;
  readonly wallMs: number;
}

/** Everything one event-loop turn wants on disk; written as one transaction, all or nothing. */
export interface StoreBatch {
  readonly leases: readonly LeaseRow[];
  /** Lease rows that are no more, by pair key (`pairKey`). */
  readonly forgotten: readonly string[];
  /** The desired state as last received, so that an agent that restarts alone knows what to serve. */
  readonly desired: {
    readonly clear: boolean;
    readonly set: readonly (readonly [key: string, value: unknown])[];
    readonly remove: readonly string[];
  };
  /** Single values by name: the last prefix reading, the drain reasons. JSON. */
  readonly facts: readonly (readonly [name: string, value: unknown])[];
  /** The database that was lost has been recovered from: `lostTo` is forgotten. */
  readonly recovered: boolean;
}

/** What the database held at the start. */
export interface Saved {
  readonly leases: readonly LeaseRow[];
  readonly desired: ReadonlyMap<string, unknown>;
  readonly facts: ReadonlyMap<string, unknown>;
  readonly clock: SavedClock | undefined;
  /** The damaged database was set aside under this name: nothing may be leased that cannot be vouched for. */
  readonly lostTo: string | undefined;
}

export interface Store extends Disposable {
  /** Returns when the batch is on disk, or with why not. `store.full`, `store.read-only` or `store.failing`. */
  commit(batch: StoreBatch, clock: SavedClock): Result<void>;
}

/** The identity of one address pair. */
export function pairKey(ipv4: string | undefined, ipv6: string | undefined): string {
  return `${ipv4 ?? ""}|${ipv6 ?? ""}`;
}

/** One reading of the interface through the metadata service. */
export interface InterfaceFacts {
  readonly mac: string;
  readonly interfaceId: string;
  readonly primaryIpv4: string;
  readonly vpcId: string;
  readonly subnetId: string;
  readonly subnetIpv4: string | undefined;
  readonly subnetIpv6: readonly string[];
  /** The VPC's CIDR blocks of both families; undefined where the metadata service does not say. */
  readonly vpcCidrs: readonly string[] | undefined;
}

export type PrefixReading =
  | {
      readonly is: "known";
      readonly ipv4: readonly string[];
      readonly ipv6: readonly string[];
      readonly interface: InterfaceFacts;
    }
  /** The metadata service did not tell. Never the same as "no prefix". */
  | { readonly is: "unknown"; readonly why: FailureCode; readonly facts: FailureFacts };

/** What the kernel should hold: everything the data path is made of, whole. */
export interface DataPathPlan {
  /** Verified ranges, routed into the tunnel. */
  readonly routes: readonly string[];
  /** One per granted session. */
  readonly peers: readonly DataPathPeer[];
  readonly resources: ReadonlyMap<string, ResourceSpec>;
  readonly dns: DnsServers | undefined;
}

export interface DataPathPeer {
  readonly session: string;
  readonly wireguardKey: string;
  readonly group: string;
  readonly ipv4: string | undefined;
  readonly ipv6: string | undefined;
}

/** What was read back. */
export interface DataPathState {
  readonly routes: readonly string[];
  readonly peers: number;
  /** How it differs from the plan applied last, in words; empty when it does not. */
  readonly drift: readonly string[];
  /** Why devices get no answer from the resolver; undefined when they do, or when there is nothing to resolve. */
  readonly resolver: Failure | undefined;
  /** DNS servers of the connector that do not answer. */
  readonly silent: readonly string[];
  /** Why connections of ended sessions could not be forgotten; undefined when all were, or it is being done. */
  readonly lingering: Failure | undefined;
}

export interface DataPath {
  /** Brings the kernel to the plan and reads it back. `datapath.failing` with the command that failed. */
  apply(plan: DataPathPlan): Promise<Result<DataPathState>>;
  /** Reads the kernel and compares it with the plan applied last; changes nothing. */
  compare(): Promise<Result<DataPathState>>;
  /** What each session's device has sent and received, by session. A failure means unknown, never "nobody". */
  traffic(): Promise<Result<ReadonlyMap<string, SessionTraffic>>>;
}

/** What the tunnel says of one session's device. */
export interface SessionTraffic {
  /** From the device, and to it, since its peer was set. */
  readonly rxBytes: number;
  readonly txBytes: number;
  /** When the device was last heard, monotonic ms; undefined when it never was. */
  readonly heardAtMs: number | undefined;
  /** When the last handshake was completed, as the host's clock said; undefined before the first. */
  readonly handshakeAtMs: number | undefined;
  /** Where the device sends from. */
  readonly endpoint: string | undefined;
}

/** What the CLI, the metrics and the controller are told: derived from facts at the moment of asking. */
export interface AgentViews {
  status(): StatusView;
  pools(): readonly PoolView[];
  leases(): readonly LeaseView[];
  sessions(): readonly SessionView[];
  prefixes(): readonly PrefixRow[];
}

export type Pools = ReadonlyMap<string, PoolSpec>;
