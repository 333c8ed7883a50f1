import { z } from "zod";
import type { FailureCode, Result } from "../../protocol/failures.ts";
import { Id, Name, PrefixText } from "../../protocol/names.ts";
import {
  DeploymentMode,
  DnsServers,
  Ipv6PoolMatch,
  LeaseMinutes,
  ResourceSpec,
} from "../../protocol/specs.ts";
import type { InstanceStatus } from "../../protocol/view.ts";
import type { MoveReason } from "./judgement.ts";
import type { RestartView } from "./restart-views.ts";
import type {
  AuditEntry,
  ConnectorView,
  ControllerViews,
  DeviceCodeCreated,
  DeviceCodeView,
  DeviceView,
  GroupView,
  InstanceView,
  OtpCreated,
  OtpView,
  SessionState,
  SessionView,
  TokenCreated,
  TokenView,
  WaitingView,
} from "./views.ts";

/** Everything an administrator may ask for. The HTTP API, its OpenAPI text and the CLI are made from these schemas. */

export const HostingEnvironment = z.enum(["aws", "azure", "gcp", "on-prem"]);
export type HostingEnvironment = z.infer<typeof HostingEnvironment>;

/** Life of an OTP or join code in minutes: a day by default, a month at most. */
export const LifeMinutes = z.int().min(1).max(43_200).default(1440);

/** One Device-User-Group that uses the connector: the name of its pool on every instance, and its lease time. */
export const GroupPool = z.object({
  group: Name,
  pool: Name,
  leaseMinutes: LeaseMinutes.default(1440),
});
export type GroupPool = z.infer<typeof GroupPool>;

const Region = z
  .string()
  .min(2)
  .max(32)
  .regex(/^[a-z0-9]+(-[a-z0-9]+)*$/, "a region or site like us-east-1");
const AwsAccount = z.string().regex(/^\d{12}$/, "a 12-digit AWS account id");
const AwsVpc = z.string().regex(/^vpc-[0-9a-f]{8,17}$/, "a VPC id like vpc-0a1b2c3d4e5f67890");

/** Enterprise resources of a connector. The routes of all of them fit one message to a device. */
export const resourcesMax = 1024;

/** What may be changed later; the rest of a connector is for ever. */
const changeable = {
  mode: DeploymentMode,
  region: Region,
  dns: DnsServers,
  groups: z.array(GroupPool).max(64),
  resources: z.array(ResourceSpec).max(resourcesMax),
  /**
   * Where services named by domain are, besides the VPC of the instances: a peered VPC, on-premises. Devices of a group
   * that has such a service seek these addresses in the tunnel; what they reach there is only what a service allows.
   */
  networks: z.array(PrefixText).max(64),
  ipv6PoolMatch: Ipv6PoolMatch,
  /** AWS accounts whose instances may enrol; empty: any. */
  accounts: z.array(AwsAccount).max(64),
  /** The VPC of all instances. Without it, the first instance of an active-active connector decides. */
  vpc: AwsVpc.nullable(),
} as const;

export const ConnectorInput = z.object({
  name: Name,
  hosting: HostingEnvironment,
  ...changeable,
  groups: changeable.groups.default([]),
  resources: changeable.resources.default([]),
  networks: changeable.networks.default([]),
  ipv6PoolMatch: changeable.ipv6PoolMatch.default("exact"),
  accounts: changeable.accounts.default([]),
  vpc: changeable.vpc.default(null),
  /** The one way there is to give users addresses. */
  userIpManagement: z.literal("static-ip-pool").default("static-ip-pool"),
});
export type ConnectorInput = z.infer<typeof ConnectorInput>;

/** The fields to change; a field that is absent stays. Lists are replaced whole. */
export const ConnectorChange = z.object(changeable).partial();
export type ConnectorChange = z.infer<typeof ConnectorChange>;

/**
 * The ranges of one pool of one instance, as they are assigned to its network interface. Only their size is limited
 * here: what is wrong with a prefix is told with a `prefix.*` code of its own.
 */
export const PoolRanges = z.object({
  ipv4: z.array(z.string().max(64)).max(64).default([]),
  ipv6: z.array(z.string().max(64)).max(64).default([]),
});
export type PoolRanges = z.infer<typeof PoolRanges>;

/** All pools of one instance by pool name. Replaces what was set before; a pool that is absent has no range. */
export const InstancePools = z.record(Name, PoolRanges);
export type InstancePools = z.infer<typeof InstancePools>;

const command = <Kind extends string, Shape extends z.ZodRawShape>(kind: Kind, shape: Shape) =>
  z.object({ command: z.literal(kind), ...shape });

export const commands = {
  "connector.create": command("connector.create", { connector: ConnectorInput }),
  "connector.update": command("connector.update", { connector: Name, change: ConnectorChange }),
  /** Refused while it has instances. Its OTPs end with it. */
  "connector.remove": command("connector.remove", { connector: Name }),
  /** Active-standby: all sessions go to the other instance, or to the named one, which carries from now on. */
  "connector.failover": command("connector.failover", { connector: Name, to: Name.optional() }),
  /**
   * Restarts the agents of all its instances, one after the other, each emptied before. `minActive`: how many must stay
   * Active meanwhile; absent: one less than are, at least one. Refused while one runs.
   */
  "connector.restart": command("connector.restart", {
    connector: Name,
    minActive: z.int().min(0).max(63).optional(),
  }),
  "connector.restart.cancel": command("connector.restart.cancel", { connector: Name }),
  /** Adds an enterprise resource, or replaces the one of that name. */
  "resource.set": command("resource.set", { connector: Name, resource: ResourceSpec }),
  "resource.remove": command("resource.remove", { connector: Name, resource: Name }),
  "group.create": command("group.create", { group: Name }),
  /** Refused while a connector, device or join code is of the group. */
  "group.remove": command("group.remove", { group: Name }),
  "otp.create": command("otp.create", { connector: Name, lifeMinutes: LifeMinutes }),
  "otp.revoke": command("otp.revoke", { otp: Id }),
  "instance.pools.set": command("instance.pools.set", { instance: Name, pools: InstancePools }),
  "instance.drain": command("instance.drain", { instance: Name }),
  "instance.resume": command("instance.resume", { instance: Name }),
  /** Forgets the instance and its identity; its sessions are placed elsewhere. Its name is never used again. */
  "instance.remove": command("instance.remove", { instance: Name }),
  "deviceCode.create": command("deviceCode.create", { user: Name, group: Name, lifeMinutes: LifeMinutes }),
  "deviceCode.revoke": command("deviceCode.revoke", { deviceCode: Id }),
  "device.remove": command("device.remove", { device: Id }),
  /** Ends the session; a device that still wants to be attached gets a new one. */
  "session.end": command("session.end", { session: Id }),
  "token.create": command("token.create", { name: Name }),
  "token.revoke": command("token.revoke", { name: Name }),
} as const;

export type CommandName = keyof typeof commands;

export const AdminCommand = z.discriminatedUnion("command", [
  commands["connector.create"],
  commands["connector.update"],
  commands["connector.remove"],
  commands["connector.failover"],
  commands["connector.restart"],
  commands["connector.restart.cancel"],
  commands["resource.set"],
  commands["resource.remove"],
  commands["group.create"],
  commands["group.remove"],
  commands["otp.create"],
  commands["otp.revoke"],
  commands["instance.pools.set"],
  commands["instance.drain"],
  commands["instance.resume"],
  commands["instance.remove"],
  commands["deviceCode.create"],
  commands["deviceCode.revoke"],
  commands["device.remove"],
  commands["session.end"],
  commands["token.create"],
  commands["token.revoke"],
]);
export type AdminCommand = z.infer<typeof AdminCommand>;

/** What a command that was stored answers. Removals answer what was removed. */
export interface CommandResults {
  "connector.create": ConnectorView;
  "connector.update": ConnectorView;
  "connector.remove": ConnectorView;
  "connector.failover": ConnectorView;
  "connector.restart": RestartView;
  "connector.restart.cancel": RestartView;
  "resource.set": ConnectorView;
  "resource.remove": ConnectorView;
  "group.create": GroupView;
  "group.remove": GroupView;
  "otp.create": OtpCreated;
  "otp.revoke": OtpView;
  "instance.pools.set": InstanceView;
  "instance.drain": InstanceView;
  "instance.resume": InstanceView;
  "instance.remove": InstanceView;
  "deviceCode.create": DeviceCodeCreated;
  "deviceCode.revoke": DeviceCodeView;
  "device.remove": DeviceView;
  "session.end": SessionView;
  "token.create": TokenCreated;
  "token.revoke": TokenView;
}

/** Who asks: `token:NAME` for the API, `local` for the CLI on the controller's own host. In the audit log as it is. */
export type Actor = string;

/** What the API is built upon. */
export interface AdminPort {
  /**
   * Decides, stores with the audit entry, applies, answers: in this order. Fails with `admin.invalid`,
   * `admin.not-found`, `admin.conflict`, a `prefix.*` code or a `store.*` code, and then nothing has changed.
   */
  command<C extends AdminCommand>(command: C, actor: Actor): Promise<Result<CommandResults[C["command"]]>>;
  /** The actor an admin token stands for; `admin.unauthorised` otherwise. */
  authenticate(token: string): Promise<Result<Actor>>;
  readonly views: ControllerViews;
  /** The newest entries first, those with an id below `before`. */
  audit(page?: {
    readonly before?: number | undefined;
    readonly limit?: number | undefined;
  }): Promise<Result<AuditEntry[]>>;
  /** Why the controller is not ready to serve; undefined when it is. For /readyz. */
  notReady(): FailureCode | undefined;
  metricsFacts(): MetricsFacts;
}

/** What /metrics is made of, counted at the moment of asking. */
export interface MetricsFacts {
  readonly links: { readonly agents: number; readonly devices: number; readonly strangers: number };
  readonly instances: Readonly<Record<InstanceStatus, number>>;
  /** `leaving`: also still served where they were. */
  readonly sessions: Readonly<Record<SessionState | "leaving", number>>;
  readonly waiting: readonly WaitingView[];
  readonly connectors: number;
  readonly devices: number;
  /** Decisions that wait for the store. */
  readonly queued: number;
  /** Since the start. */
  readonly totals: {
    readonly placements: number;
    /** Sessions moved to another instance, by reason. */
    readonly moved: Readonly<Record<MoveReason, number>>;
    readonly enrolments: number;
    readonly joins: number;
    readonly commands: number;
    readonly unknownMessages: number;
    readonly storeFailures: number;
    /** Links and requests refused, by failure code. */
    readonly refused: Readonly<Partial<Record<FailureCode, number>>>;
  };
}
