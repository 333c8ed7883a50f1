import type { DeploymentMode, DnsServers, Ipv6PoolMatch, ResourceSpec } from "../../protocol/specs.ts";
import type { GroupPool, HostingEnvironment, PoolRanges } from "./admin.ts";
import type { MoveReason } from "./judgement.ts";
import type { RestartRow } from "./restart-row.ts";

/**
 * What the controller knows for good, one type per table. Rows are values: a change puts a whole new row. The model
 * holds them in memory, the store on disk, and both are always the same.
 */

export interface ConnectorRow {
  readonly name: string;
  readonly hosting: HostingEnvironment;
  readonly mode: DeploymentMode;
  readonly region: string;
  readonly dns: DnsServers;
  readonly groups: readonly GroupPool[];
  readonly resources: readonly ResourceSpec[];
  /** Where services named by domain are, besides the instances' own VPC. */
  readonly networks: readonly string[];
  readonly ipv6PoolMatch: Ipv6PoolMatch;
  readonly accounts: readonly string[];
  readonly vpc: string | null;
  readonly createdAtMs: number;
}

export interface GroupRow {
  readonly name: string;
  readonly createdAtMs: number;
}

/** What became of a one-time secret. Expiry is not a state: it is a comparison with the clock. */
export type OneTimeUse =
  | { readonly is: "open" }
  | { readonly is: "revoked" }
  /** Spent by the holder of this identity key, and by no other. */
  | { readonly is: "used"; readonly identityKey: string; readonly by: string };

export interface OtpRow {
  readonly id: string;
  readonly hash: string;
  readonly connector: string;
  readonly use: OneTimeUse;
  readonly createdAtMs: number;
  readonly expiresAtMs: number;
  readonly createdBy: string;
}

export interface DeviceCodeRow {
  readonly id: string;
  readonly hash: string;
  readonly user: string;
  readonly group: string;
  readonly use: OneTimeUse;
  readonly createdAtMs: number;
  readonly expiresAtMs: number;
  readonly createdBy: string;
}

export interface InstanceRow {
  readonly id: string;
  readonly name: string;
  readonly connector: string;
  readonly identityKey: string;
  readonly wireguardKey: string;
  readonly ec2InstanceId: string;
  readonly managementIp: string;
  readonly accountId: string;
  readonly region: string;
  readonly availabilityZone: string;
  readonly vpcId: string;
  readonly subnetId: string;
  /** Where devices reach its WireGuard, as it said last; null until it has. */
  readonly endpoint: string | null;
  /** The CIDR blocks of its VPC, as it said them last; empty until it has. */
  readonly vpcCidrs: readonly string[];
  readonly pools: Readonly<Record<string, PoolRanges>>;
  /** Since when an administrator wants it drained; null: not. */
  readonly drainSinceMs: number | null;
  readonly enrolledAtMs: number;
}

export interface DeviceRow {
  readonly id: string;
  readonly name: string;
  readonly user: string;
  readonly group: string;
  readonly identityKey: string;
  readonly wireguardKey: string;
  readonly joinedAtMs: number;
}

/** Where a session is. `epoch` counts placements: a place that was left never has the epoch of a later one. */
export type SessionPlace =
  | { readonly is: "waiting"; readonly code: string }
  | { readonly is: "placed"; readonly instance: string; readonly pool: string }
  | {
      readonly is: "attached";
      readonly instance: string;
      readonly pool: string;
      readonly ipv4: string | undefined;
      readonly ipv6: string | undefined;
    };

/**
 * The place a session had before, on another instance, which serves it there until the device has left it: make before
 * break. What it is told of it does not change.
 */
export interface Leaving {
  readonly epoch: number;
  readonly instance: string;
  readonly pool: string;
  readonly ipv4: string | undefined;
  readonly ipv6: string | undefined;
  /** When it ends whatever the device says; null while the new place is not granted. */
  readonly untilMs: number | null;
}

/** The place a session had when it was last granted, or was to get since, and why it has it no more. */
export interface Lost {
  readonly instance: string;
  readonly reason: MoveReason;
  readonly code?: string | undefined;
}

export interface SessionRow {
  readonly id: string;
  readonly device: string;
  /** The epoch of the place; of the next one while waiting. */
  readonly epoch: number;
  readonly place: SessionPlace;
  readonly leaving: Leaving | null;
  /** Of one that was moved, until it is granted anew. */
  readonly lost?: Lost | undefined;
}

/** Which instance of an active-standby connector, which is its key, carries the sessions. */
export interface CarrierRow {
  readonly name: string;
  /** Its id. */
  readonly instance: string;
  readonly sinceMs: number;
  /** Only after a `failover`, which an administrator asked for, are sessions elsewhere brought to it. */
  readonly why: "first" | "takeover" | "failover";
}

export interface TokenRow {
  readonly name: string;
  readonly hash: string;
  readonly createdAtMs: number;
  readonly createdBy: string;
}

/** `instances`: how many instances ever enrolled, which is the number in the next one's name. */
export interface CounterRow {
  readonly name: "instances";
  readonly value: number;
}

export interface Tables {
  readonly connector: ConnectorRow;
  readonly group: GroupRow;
  readonly otp: OtpRow;
  readonly deviceCode: DeviceCodeRow;
  readonly instance: InstanceRow;
  readonly device: DeviceRow;
  readonly session: SessionRow;
  readonly carrier: CarrierRow;
  readonly token: TokenRow;
  readonly counter: CounterRow;
  readonly restart: RestartRow;
}
export type TableName = keyof Tables;

export const tableNames = [
  "group",
  "connector",
  "otp",
  "deviceCode",
  "instance",
  "device",
  "session",
  "carrier",
  "token",
  "counter",
  "restart",
] as const satisfies readonly TableName[];

/** One step of a decision. The key is the row's `id`, or its `name` where it has none. */
export type Change = {
  readonly [Table in TableName]:
    | { readonly table: Table; readonly put: Tables[Table] }
    | { readonly table: Table; readonly remove: string };
}[TableName];

export function put<Table extends TableName>(table: Table, row: Tables[Table]): Change {
  return { table, put: row } as Change;
}

export function remove(table: TableName, key: string): Change {
  return { table, remove: key } as Change;
}

/** What goes to the audit log with a change. Rows without their secrets' hashes. */
export interface AuditDraft {
  readonly atMs: number;
  readonly actor: string;
  readonly action: string;
  readonly subject: string;
  readonly before: unknown;
  readonly after: unknown;
}

/** A decision: what to store, all or nothing. */
export interface Plan {
  readonly changes: readonly Change[];
  readonly audit: readonly AuditDraft[];
}

export const nothing: Plan = { changes: [], audit: [] };
