import { z } from "zod";
import { Epoch, Id, Ipv4, Ipv6, Key32, Name, PrefixText } from "./names.ts";

/** What a connector, its pools and its services are; the same in the admin API and in the desired state of an instance. */

export const DeploymentMode = z.enum(["standalone", "active-standby", "active-active"]);
export type DeploymentMode = z.infer<typeof DeploymentMode>;

/** Group DNS servers. The primary IPv4 server is mandatory; a secondary is used when its primary does not respond. */
export const DnsServers = z.object({
  primary: Ipv4,
  secondary: Ipv4.optional(),
  primaryIpv6: Ipv6.optional(),
  secondaryIpv6: Ipv6.optional(),
});
export type DnsServers = z.infer<typeof DnsServers>;

/** How an IPv6 pool must match the instance's prefixes: equal to a /80, or a range inside one. */
export const Ipv6PoolMatch = z.enum(["exact", "within"]);
export type Ipv6PoolMatch = z.infer<typeof Ipv6PoolMatch>;

export const ConnectorSpec = z.object({
  name: Name,
  mode: DeploymentMode,
  dns: DnsServers,
  ipv6PoolMatch: Ipv6PoolMatch,
});
export type ConnectorSpec = z.infer<typeof ConnectorSpec>;

/** Minutes, 1 minute to 30 days; 1440 by default, as the product has it. */
export const LeaseMinutes = z.int().min(1).max(43_200);

/** One pool of one instance: whose it is, and the ranges it leases from. At most 14 /28s fit an interface of c5.xlarge; larger types take up to 49. */
export const PoolSpec = z.object({
  group: Name,
  leaseMinutes: LeaseMinutes,
  ipv4: z.array(PrefixText).max(64),
  ipv6: z.array(PrefixText).max(64),
});
export type PoolSpec = z.infer<typeof PoolSpec>;

export const Protocol = z.enum(["tcp", "udp", "icmp", "any"]);

export const PortRange = z
  .object({ from: z.int().min(1).max(65_535), to: z.int().min(1).max(65_535) })
  .refine((range) => range.from <= range.to, {
    message: "`from` must not be greater than `to`",
    path: ["to"],
  });

/** `example.internal` or `*.example.internal`: a wildcard is the whole first label or nothing. */
export const DomainPattern = z
  .string()
  .max(253)
  .regex(/^(\*\.)?([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])$/, {
    error: ({ input }) => wantedDomain(String(input)),
  });

/** An enterprise resource: what members of the named groups may reach. Deny is the default; the more specific entry wins. */
export const ResourceSpec = z
  .object({
    name: Name,
    destination: z.union([z.object({ cidr: PrefixText }), z.object({ domain: DomainPattern })]),
    protocol: Protocol,
    ports: z.array(PortRange).max(32),
    /** Connections from the private network to the user are let through too. */
    serverInitiated: z.boolean(),
    groups: z.array(Name).min(1).max(64),
  })
  .refine(
    (service) => service.ports.length === 0 || service.protocol === "tcp" || service.protocol === "udp",
    {
      message: "ports need protocol tcp or udp",
      path: ["ports"],
    },
  );
export type ResourceSpec = z.infer<typeof ResourceSpec>;

/** A session an instance shall serve. */
export const SessionSpec = z.object({
  epoch: Epoch,
  device: Id,
  user: Name,
  pool: Name,
  /** The device's WireGuard public key. */
  wireguardKey: Key32,
  /**
   * What this instance granted the session at this epoch, as far as the controller heard. Nothing for an instance to
   * obey: it lets one that lost its database know which addresses are in use.
   */
  granted: z.object({ ipv4: Ipv4.optional(), ipv6: Ipv6.optional() }).optional(),
});
export type SessionSpec = z.infer<typeof SessionSpec>;

/** Why an instance takes no new sessions. A set: ending one reason does not end another. */
export const DrainReason = z.enum([
  "cli",
  "admin",
  "restart",
  "shutdown",
  "spot",
  "rebalance",
  "autoscaling",
]);
export type DrainReason = z.infer<typeof DrainReason>;

function wantedDomain(text: string): string {
  return /^(\*\.)?[^*]+$/.test(text)
    ? "a domain in lower case like app.example.internal or *.example.internal"
    : "a domain like *.example.internal, with * as its whole first label and nowhere else";
}
