import { z } from "zod";
import {
  Code,
  Ec2InstanceId,
  Epoch,
  EpochMs,
  Id,
  Ipv4,
  Ipv6,
  Name,
  PrefixText,
} from "../../protocol/names.ts";
import { ResourceSpec } from "../../protocol/specs.ts";
import { Condition, InstanceStatus, PoolCounts } from "../../protocol/view.ts";
import { ConnectorInput, GroupPool } from "./admin.ts";
import { DrainView, RestartSummary, type RestartView } from "./restart-views.ts";

/** What an administrator sees. Derived from facts at the moment of asking; secrets are in none of them. */

/** Sessions without a place: their devices want one and are tried again. */
export const WaitingView = z.object({ group: Name, code: Code, sessions: z.int().positive() });
export type WaitingView = z.infer<typeof WaitingView>;

/** takeover: the one before could not go on. failover: an administrator asked for it. */
export const CarrierView = z.object({
  instance: Name,
  sinceMs: EpochMs,
  why: z.enum(["first", "takeover", "failover"]),
  /** Sessions that are on the other one all the same: not over yet, or with a path that works there. */
  sessionsElsewhere: z.int().nonnegative(),
});

export const ConnectorView = ConnectorInput.extend({
  resources: z.array(ResourceSpec),
  groups: z.array(GroupPool),
  /** Configured: no instance ever enrolled. Otherwise the best status among its instances. */
  status: InstanceStatus,
  instances: z.int().nonnegative(),
  activeInstances: z.int().nonnegative(),
  instancesMax: z.int().positive(),
  sessions: z.int().nonnegative(),
  /** In active-standby, the instance that carries; null: none yet, or another mode. */
  carrier: CarrierView.nullable(),
  waiting: z.array(WaitingView),
  /** The rolling restart that runs, or the last one; null: there was none. */
  restart: RestartSummary.nullable(),
  createdAtMs: EpochMs,
});
export type ConnectorView = z.infer<typeof ConnectorView>;

export const GroupView = z.object({
  name: Name,
  /** The connector that serves the group; null when none does. */
  connector: Name.nullable(),
  pool: Name.nullable(),
  devices: z.int().nonnegative(),
  createdAtMs: EpochMs,
});
export type GroupView = z.infer<typeof GroupView>;

export const OneTimeState = z.enum(["open", "used", "expired", "revoked"]);

export const OtpView = z.object({
  id: Id,
  connector: Name,
  state: OneTimeState,
  createdAtMs: EpochMs,
  expiresAtMs: EpochMs,
  createdBy: z.string(),
  /** The name of the instance that used it. */
  usedBy: z.string().nullable(),
});
export type OtpView = z.infer<typeof OtpView>;

/** The only answer that holds the secret: it is shown once and only its hash is kept. */
export const OtpCreated = OtpView.extend({ secret: z.string() });
export type OtpCreated = z.infer<typeof OtpCreated>;

/** One pool of one instance: what is configured, and what the instance reports about it (null: nothing yet). */
export const InstancePoolView = z.object({
  pool: Name,
  group: Name,
  leaseMinutes: z.int(),
  ipv4: z.array(z.string()),
  ipv6: z.array(z.string()),
  reported: PoolCounts.nullable(),
});
export type InstancePoolView = z.infer<typeof InstancePoolView>;

/**
 * What the controller thinks of an instance, from its link, its own word and its devices. gone: its sessions are moved at
 * once, but for those whose devices say that their path works. leaving: they are moved before it lets go of them.
 */
export const JudgementView = z.object({
  is: z.enum(["serving", "leaving", "gone"]),
  why: z
    .enum(["administrator", "restart", "instance", "failover", "goodbye", "link-lost", "devices"])
    .nullable(),
  /** null while it serves. */
  sinceMs: EpochMs.nullable(),
  /** Devices on a link, by what they say of their path to it. */
  devicesAlive: z.int().nonnegative(),
  devicesDead: z.int().nonnegative(),
  /** Sessions moved since then. */
  moved: z.int().nonnegative(),
  /** Sessions with a new place that it still serves, because their devices have not come over yet. */
  leaving: z.int().nonnegative(),
  /** Sessions that should be elsewhere, where no address is free. They are tried again. */
  waiting: z.int().nonnegative(),
});
export type JudgementView = z.infer<typeof JudgementView>;

/** One line of the instance list, with the portal's columns first. */
export const InstanceView = z.object({
  name: Name,
  providerInstanceId: Ec2InstanceId,
  status: InstanceStatus,
  managementIp: Ipv4,
  activeAgents: z.int().nonnegative(),
  /** Pools with at least one range on this instance: `Pool1 +1` is a way to print this. */
  userGroupAssociations: z.array(z.object({ group: Name, pool: Name })),
  /** null until the instance has reported. */
  version: z.string().nullable(),
  upSinceMs: EpochMs.nullable(),
  /** The agent's process, another one after each start; null until it has reported, and from agents that cannot be restarted from here. */
  process: Id.nullable(),
  id: Id,
  connector: Name,
  accountId: z.string(),
  region: z.string(),
  availabilityZone: z.string(),
  vpcId: z.string(),
  subnetId: z.string(),
  endpoint: z.string().nullable(),
  /** The CIDR blocks of its VPC, where its devices seek services named by domain; empty: not told yet. */
  vpcCidrs: z.array(PrefixText),
  enrolledAtMs: EpochMs,
  /** Since when the link is up; null while it is down. */
  linkUpSinceMs: EpochMs.nullable(),
  /** null until it was heard after the controller's start. */
  lastSeenMs: EpochMs.nullable(),
  /** An administrator asked it to take no new sessions. */
  drain: z.boolean(),
  /** How far it has come with taking no sessions, for whatever reason; null while it takes them. */
  draining: DrainView.nullable(),
  pools: z.array(InstancePoolView),
  /** The prefixes of the interface as the instance reads them; null: nothing reported yet. */
  prefixes: z.object({ ipv4: z.array(z.string()), ipv6: z.array(z.string()), readAtMs: EpochMs }).nullable(),
  /** Sessions the controller has placed here. */
  sessions: z.int().nonnegative(),
  judgement: JudgementView,
  /** In active-standby; null in other modes. */
  role: z.enum(["carrier", "standby"]).nullable(),
  conditions: z.array(Condition),
});
export type InstanceView = z.infer<typeof InstanceView>;

export const DeviceCodeView = z.object({
  id: Id,
  user: Name,
  group: Name,
  state: OneTimeState,
  createdAtMs: EpochMs,
  expiresAtMs: EpochMs,
  createdBy: z.string(),
  usedBy: z.string().nullable(),
});
export type DeviceCodeView = z.infer<typeof DeviceCodeView>;

export const DeviceCodeCreated = DeviceCodeView.extend({ secret: z.string() });
export type DeviceCodeCreated = z.infer<typeof DeviceCodeCreated>;

/** waiting: for an instance (`code` tells why). placed: an instance was asked. attached: it granted. */
export const SessionState = z.enum(["waiting", "placed", "attached"]);
export type SessionState = z.infer<typeof SessionState>;

/** A session with the columns of the portal's list of active agents. */
export const SessionView = z.object({
  id: Id,
  epoch: Epoch,
  state: SessionState,
  code: Code.nullable(),
  device: Id,
  deviceName: Name,
  user: Name,
  group: Name,
  connector: Name.nullable(),
  instance: Name.nullable(),
  pool: Name.nullable(),
  ipv4: Ipv4.nullable(),
  ipv6: Ipv6.nullable(),
  /** The place before, which serves on until the device has come over; null: none. */
  leaving: z.object({ instance: Name, epoch: Epoch }).nullable(),
});
export type SessionView = z.infer<typeof SessionView>;

/**
 * What the device's probe says of its tunnel. null: it has said nothing about the session's epoch yet, carries no
 * tunnel, or was last heard before the controller's start.
 */
export const PathView = z.object({
  instance: Name,
  verdict: z.enum(["alive", "dead"]),
  /** By the device's clock. */
  sinceMs: EpochMs,
});
export type PathView = z.infer<typeof PathView>;

export const DeviceView = z.object({
  id: Id,
  name: Name,
  user: Name,
  group: Name,
  joinedAtMs: EpochMs,
  /** Whether its link to the controller is up; its tunnel does not depend on that. */
  connected: z.boolean(),
  lastSeenMs: EpochMs.nullable(),
  /** The address its link comes from. */
  publicIp: z.string().nullable(),
  hostOs: z.string().nullable(),
  version: z.string().nullable(),
  session: SessionView.nullable(),
  path: PathView.nullable(),
});
export type DeviceView = z.infer<typeof DeviceView>;

export const TokenView = z.object({ name: Name, createdAtMs: EpochMs, createdBy: z.string() });
export type TokenView = z.infer<typeof TokenView>;

export const TokenCreated = TokenView.extend({ secret: z.string() });
export type TokenCreated = z.infer<typeof TokenCreated>;

/** One change: who, what, before and after. `before` is null for something new, `after` for something removed. */
export const AuditEntry = z.object({
  id: z.int().positive(),
  atMs: EpochMs,
  /** `token:NAME`, `local`; `controller` where nobody asked; `otp:ID` and `deviceCode:ID` for who came in; `instance/NAME` and `device/ID` for new keys. */
  actor: z.string(),
  /** The command's name, or `sessions.move`, `instance.enrol`, `device.join`, `wireguardKey.replace`. */
  action: z.string(),
  /** `kind/key` of what was changed: `connector/prod`, `instance/aws-us-vir-con-00008`. */
  subject: z.string(),
  before: z.unknown(),
  after: z.unknown(),
});
export type AuditEntry = z.infer<typeof AuditEntry>;

/** Which part of a long list: those after a key, so many at most. */
export interface Page {
  readonly after?: string | undefined;
  readonly limit?: number | undefined;
}

export interface SessionFilter {
  readonly instance?: string | undefined;
  readonly state?: SessionState | undefined;
}

export const pageLimits = { byDefault: 100, max: 1000 } as const;

/** Everything that can be read. Lists of devices and sessions come in pages; all others are short. */
export interface ControllerViews {
  connectors(): ConnectorView[];
  connector(name: string): ConnectorView | undefined;
  /** The rolling restart of a connector that runs, or the last one. */
  restart(connector: string): RestartView | undefined;
  groups(): GroupView[];
  instances(connector?: string): InstanceView[];
  instance(name: string): InstanceView | undefined;
  otps(connector?: string): OtpView[];
  deviceCodes(): DeviceCodeView[];
  devices(page?: Page): DeviceView[];
  device(id: string): DeviceView | undefined;
  sessions(filter?: SessionFilter, page?: Page): SessionView[];
  session(id: string): SessionView | undefined;
  tokens(): TokenView[];
}
