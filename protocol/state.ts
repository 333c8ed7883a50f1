import { z } from "zod";
import { Code, Epoch, EpochMs, Id, Ipv4, Ipv6, Key32, Name, PrefixText, SoftwareVersion } from "./names.ts";
import { ConnectorSpec, DnsServers, PoolSpec, ResourceSpec, SessionSpec } from "./specs.ts";
import { Condition, InstanceStatus, PoolCounts } from "./view.ts";

/**
 * The maps that travel as revisioned state. A key is `kind` where there is one of it, or `kind/id`.
 * An entry of a kind that the receiver does not know is ignored, so a newer peer may say more.
 */
export type StateShape = Readonly<Record<string, z.ZodType>>;

/** What an instance should be. */
export const agentDesired = {
  connector: ConnectorSpec,
  /** id: pool name */
  pool: PoolSpec,
  /** id: resource id */
  resource: ResourceSpec,
  /** id: session id */
  session: SessionSpec,
  /** The drain that an administrator asked for; absent when there is none. */
  drain: z.object({ sinceMs: EpochMs }),
  /**
   * A rolling restart has come to this instance. The process it names drains for it, and ends when it says `go`. It names
   * no other process, so whoever comes after has nothing to do, however often it hears this; absent when there is none.
   */
  restart: z.object({ id: Id, process: Id, sinceMs: EpochMs, go: z.boolean() }),
} as const satisfies StateShape;
export type AgentDesired = typeof agentDesired;

const Addresses = z.object({ ipv4: Ipv4.optional(), ipv6: Ipv6.optional() });

/** What became of a session the instance should serve. Only `granted` and `refused` of the epoch asked for count. */
export const SessionOutcome = z.discriminatedUnion("outcome", [
  z.object({ outcome: z.literal("granted"), epoch: Epoch, ...Addresses.shape }),
  z.object({ outcome: z.literal("refused"), epoch: Epoch, code: Code }),
  /** It was granted and is over on the instance's side: lease expired, or its prefix is gone. */
  z.object({ outcome: z.literal("ended"), epoch: Epoch, code: Code }),
]);
export type SessionOutcome = z.infer<typeof SessionOutcome>;

/** What an instance is. */
export const agentObserved = {
  instance: z.object({
    status: InstanceStatus,
    conditions: z.array(Condition).max(256),
    version: SoftwareVersion,
    upSinceMs: EpochMs,
    /** Another one for each process; absent from agents that cannot be told to restart. */
    process: Id.optional(),
    /** Why it drains, in text: a newer agent may know more reasons. Absent while it does not, and from older agents. */
    drain: z
      .object({ reasons: z.array(Code).max(32), sinceMs: EpochMs, untilMs: EpochMs.optional() })
      .optional(),
    managementIp: Ipv4,
    activeAgents: z.int().nonnegative(),
    /** Where devices reach this instance's WireGuard: `address:port`. */
    endpoint: z.string().max(64),
  }),
  /** id: pool name */
  pool: PoolCounts,
  /** The interface's prefixes as the metadata service says them. */
  prefixes: z.object({
    ipv4: z.array(PrefixText).max(128),
    ipv6: z.array(PrefixText).max(128),
    /** The CIDR blocks of the interface's VPC, both families; absent while the service has never said them. */
    vpcCidrs: z.array(PrefixText).max(256).optional(),
    readAtMs: EpochMs,
  }),
  /** id: session id */
  session: SessionOutcome,
  /** A lease that no session uses now. id: `device/pool` */
  lease: z.object({
    state: z.enum(["cooling", "quarantined"]),
    ...Addresses.shape,
    untilMs: EpochMs,
  }),
} as const satisfies StateShape;
export type AgentObserved = typeof agentObserved;

/** What a device should be: attached somewhere, or waiting for a reason. */
export const deviceDesired = {
  attachment: z.discriminatedUnion("state", [
    z.object({ state: z.literal("waiting"), code: Code }),
    z.object({
      state: z.literal("attached"),
      session: Id,
      epoch: Epoch,
      instance: Name,
      endpoint: z.string().max(64),
      wireguardKey: Key32,
      ...Addresses.shape,
      dns: DnsServers,
      mtu: z.int().min(1280).max(9000),
      /**
       * What to route into the tunnel: the services that are named by CIDR and, where one is named by domain, the networks
       * its addresses may be in. More may be routed than is allowed: what is reached is decided at the instance.
       */
      routes: z.array(PrefixText).max(4096),
      /** Domains whose names the tunnel's resolver answers. */
      domains: z.array(z.string().max(255)).max(4096),
    }),
  ]),
} as const satisfies StateShape;
export type Attachment = z.infer<typeof deviceDesired.attachment>;

/** What a device is and wants. */
export const deviceObserved = {
  device: z.object({
    wants: z.enum(["attached", "detached"]),
    hostOs: z.string().min(1).max(64),
    version: SoftwareVersion,
    /** It has a tunnel and will say of each of its paths whether it works. Absent: its silence says nothing. */
    probes: z.boolean().optional(),
  }),
  /** The attachment the device holds, so that a controller that forgot it can rebuild; absent when it holds none. */
  held: z.object({ session: Id, epoch: Epoch, instance: Name, ...Addresses.shape }),
  /** What the device's probe says of the tunnel of this attachment; absent before its first word. */
  path: z.object({
    session: Id,
    epoch: Epoch,
    instance: Name,
    /** dead: nothing has come back for seconds, though the device asked. */
    verdict: z.enum(["alive", "dead"]),
    sinceMs: EpochMs,
  }),
} as const satisfies StateShape;
export type DeviceObserved = typeof deviceObserved;

/** One entry of a map, by kind. */
export type Entry<Shape extends StateShape> = {
  [Kind in keyof Shape & string]: {
    readonly kind: Kind;
    readonly id: string;
    readonly value: z.infer<Shape[Kind]>;
  };
}[keyof Shape & string];

export function stateKey(kind: string, id = ""): string {
  return id === "" ? kind : `${kind}/${id}`;
}

export function splitKey(key: string): { kind: string; id: string } {
  const slash = key.indexOf("/");
  return slash < 0 ? { kind: key, id: "" } : { kind: key.slice(0, slash), id: key.slice(slash + 1) };
}

export type ParsedEntry<Shape extends StateShape> =
  | { readonly is: "entry"; readonly entry: Entry<Shape> }
  | { readonly is: "unknown" }
  | { readonly is: "malformed"; readonly where: string };

/** Validates one entry of a frame against the map's shape. */
export function parseEntry<Shape extends StateShape>(
  shape: Shape,
  key: string,
  value: unknown,
): ParsedEntry<Shape> {
  const { kind, id } = splitKey(key);
  const schema = Object.hasOwn(shape, kind) ? shape[kind] : undefined;
  if (schema === undefined) return { is: "unknown" };
  const parsed = schema.safeParse(value);
  if (!parsed.success) return { is: "malformed", where: `${key}: ${problemOf(parsed.error.issues)}` };
  return { is: "entry", entry: { kind, id, value: parsed.data } as Entry<Shape> };
}

/** The first thing that is wrong; of a union, with the alternative that was probably meant: the one it breaks least. */
function problemOf(issues: readonly z.core.$ZodIssue[], above: readonly PropertyKey[] = []): string {
  const [issue] = issues;
  const path = [...above, ...(issue?.path ?? [])];
  if (issue?.code === "invalid_union") {
    const [nearest = []] = issue.errors.toSorted((a, b) => a.length - b.length);
    if (nearest.length > 0) return problemOf(nearest, path);
  }
  return `${path.map(String).join(".")} ${issue?.message ?? ""}`;
}
