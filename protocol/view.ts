import { z } from "zod";
import { Code, Epoch, EpochMs, Id, Ipv4, Ipv6, Name, SoftwareVersion } from "./names.ts";
import { DrainReason } from "./specs.ts";

/** The status view: what the agent's socket serves, the CLI prints and the controller shows. */

/** Configured: created, never enrolled. Online: linked. Active: carries traffic. Draining: takes no new sessions. */
export const InstanceStatus = z.enum(["Configured", "Offline", "Online", "Active", "Draining"]);
export type InstanceStatus = z.infer<typeof InstanceStatus>;

/** Something a person should know, for as long as it is true. `subject` tells which one where there are several. */
export const Condition = z.object({
  code: Code,
  severity: z.enum(["info", "warning", "error"]),
  sinceMs: EpochMs,
  subject: z.string().max(128).optional(),
  text: z.string().max(512),
  hint: z.string().max(512),
});
export type Condition = z.infer<typeof Condition>;

/** Addresses of one pool. A dual-stack pair counts once. `total` = leased + cooling + quarantined + free. */
export const PoolCounts = z.object({
  total: z.int().nonnegative(),
  leased: z.int().nonnegative(),
  cooling: z.int().nonnegative(),
  quarantined: z.int().nonnegative(),
  free: z.int().nonnegative(),
});
export type PoolCounts = z.infer<typeof PoolCounts>;

export const PoolView = PoolCounts.extend({
  name: Name,
  group: Name,
  leaseMinutes: z.int(),
  ranges: z.array(z.object({ prefix: z.string(), verified: z.boolean() })),
});
export type PoolView = z.infer<typeof PoolView>;

export const LeaseState = z.enum(["leased", "cooling", "quarantined"]);
export const LeaseView = z.object({
  pool: Name,
  device: Id,
  user: Name.optional(),
  ipv4: Ipv4.optional(),
  ipv6: Ipv6.optional(),
  state: LeaseState,
  session: Id.optional(),
  /** When the lease (or its cool-down) ends if nothing renews it. */
  untilMs: EpochMs,
});
export type LeaseView = z.infer<typeof LeaseView>;

export const SessionView = z.object({
  session: Id,
  epoch: Epoch,
  device: Id,
  user: Name,
  pool: Name,
  state: z.enum(["granting", "granted", "refused", "ended"]),
  ipv4: Ipv4.optional(),
  ipv6: Ipv6.optional(),
  code: Code.optional(),
  lastSeenMs: EpochMs.optional(),
  /** From the device and to it, since its WireGuard peer was set. Absent while the data path has not told. */
  rxBytes: z.int().nonnegative().optional(),
  txBytes: z.int().nonnegative().optional(),
  /** Of the last WireGuard handshake, on this host's clock. */
  handshakeMs: EpochMs.optional(),
  /** Where the device sends from: `address:port`. */
  endpoint: z.string().max(64).optional(),
});
export type SessionView = z.infer<typeof SessionView>;

/** One prefix in the three-way comparison of controller, metadata service and data path. */
export const PrefixRow = z.object({
  prefix: z.string().max(49),
  /** The pool that the controller configured it for. */
  pool: Name.optional(),
  /** `missing`: was there, is not in the latest readings, and does not count as gone yet. */
  imds: z.enum(["present", "missing", "absent", "unknown"]),
  dataPath: z.enum(["routed", "absent", "unknown"]),
  /** `ok`, or the code of what is wrong with it. */
  verdict: Code,
});
export type PrefixRow = z.infer<typeof PrefixRow>;

export const LinkView = z.discriminatedUnion("state", [
  z.object({ state: z.literal("up"), sinceMs: EpochMs }),
  z.object({ state: z.literal("connecting") }),
  z.object({ state: z.literal("waiting"), retryInMs: z.number(), code: Code }),
  z.object({ state: z.literal("stopped"), code: Code.optional() }),
]);
export type LinkView = z.infer<typeof LinkView>;

export const StatusView = z.object({
  name: z.string().optional(),
  connector: z.string().optional(),
  instanceId: z.string().optional(),
  status: InstanceStatus,
  managementIp: z.string(),
  gateway: z.string(),
  controller: z.string(),
  link: LinkView,
  activeAgents: z.int().nonnegative(),
  sessions: z.int().nonnegative(),
  pools: z.array(PoolView),
  drain: z.array(DrainReason),
  /** While there is a reason to drain: since when, until when it is to be done, and the most sessions there were. */
  draining: z
    .object({
      sinceMs: EpochMs,
      untilMs: EpochMs.optional(),
      sessionsMost: z.int().nonnegative(),
    })
    .optional(),
  /** It says goodbye to the group when nobody is left or the time is up, or has said it with so many sessions left. */
  departure: z
    .discriminatedUnion("state", [
      z.object({ state: z.literal("leaving"), reason: DrainReason, untilMs: EpochMs }),
      z.object({
        state: z.literal("left"),
        reason: DrainReason,
        atMs: EpochMs,
        sessions: z.int().nonnegative(),
      }),
    ])
    .optional(),
  conditions: z.array(Condition),
  prefixesReadAtMs: EpochMs.optional(),
  version: SoftwareVersion,
  upSinceMs: EpochMs,
  nowMs: EpochMs,
});
export type StatusView = z.infer<typeof StatusView>;
