import { list, table } from "../../../protocol/node/table.ts";
import { timestamp } from "../../../protocol/node/text.ts";
import type { ResourceSpec } from "../../../protocol/specs.ts";
import type { ConnectorView, GroupView } from "../../core/views.ts";
import { restartLines } from "./restarts.ts";

type Width = number | undefined;

export function connectorTable(connectors: readonly ConnectorView[], width: Width): string {
  if (connectors.length === 0)
    return "No connector yet. Make one: connector-controller connector create --help";
  return table(
    [
      { title: "Name" },
      { title: "Deployment Mode" },
      { title: "Region" },
      { title: "Status" },
      { title: "Active Instances", align: "right" },
      { title: "Sessions", align: "right" },
    ],
    connectors.map((connector) => [
      connector.name,
      connector.mode,
      connector.region,
      connector.status,
      `${connector.activeInstances} of ${connector.instances}`,
      String(connector.sessions),
    ]),
    width,
  );
}

export function connectorText(connector: ConnectorView, width: Width): string {
  const { dns } = connector;
  const servers = [dns.primary, dns.secondary, dns.primaryIpv6, dns.secondaryIpv6].filter(Boolean);
  const facts = list([
    ["Name", connector.name],
    ["Hosting Environment", connector.hosting],
    ["Deployment Mode", connector.mode],
    ["Region", connector.region],
    ["Status", connector.status],
    [
      "Instances",
      `${connector.activeInstances} active of ${connector.instances}, ${connector.instancesMax} at most`,
    ],
    ["Sessions", String(connector.sessions)],
    ...(connector.mode === "active-standby" ? [["Carries", carrierText(connector)] as [string, string]] : []),
    ...(connector.waiting.length > 0 ? [["Waiting", waitingText(connector)] as [string, string]] : []),
    ...(connector.restart === null ? [] : [["Last Restart", restartLines(connector.restart)] as const]),
    ["DNS Servers", servers.join(", ")],
    ["User IP Management", "Static IP Pool"],
    ["IPv6 Pools", connector.ipv6PoolMatch === "exact" ? "exactly a /80" : "within a /80"],
    ["Domain Networks", ["those of the VPC", ...connector.networks].join(", ")],
    ["AWS Accounts", connector.accounts.join(", ") || "any"],
    ["VPC", connector.vpc ?? "that of the first instance"],
    ["Created", timestamp(connector.createdAtMs)],
  ]);
  const groups = table(
    [{ title: "User Group" }, { title: "Pool Name" }, { title: "Lease Time (min)", align: "right" }],
    connector.groups.map(({ group, pool, leaseMinutes }) => [group, pool, String(leaseMinutes)]),
    width,
  );
  const parts = [facts, connector.groups.length === 0 ? "No Device-User-Group uses it." : groups];
  if (connector.resources.length > 0) parts.push(resourceTable(connector.resources, width));
  return parts.join("\n\n");
}

export function failoverText(connector: ConnectorView): string {
  return `${carrierText(connector)}.\nFollow it with: connector-controller connector show ${connector.name}`;
}

const why = {
  first: "",
  takeover: ", took over",
  failover: ", by command",
} as const satisfies Record<NonNullable<ConnectorView["carrier"]>["why"], string>;

/** `aws-us-vir-con-00002 since …, by command; sessions on the other one: 3`. */
function carrierText({ carrier }: ConnectorView): string {
  if (carrier === null) return "none until one is Active";
  const { instance, sinceMs, sessionsElsewhere } = carrier;
  const elsewhere = sessionsElsewhere === 0 ? "" : `; sessions on the other one: ${sessionsElsewhere}`;
  return `${instance} since ${timestamp(sinceMs)}${why[carrier.why]}${elsewhere}`;
}

/** `3 of Sales: placement.no-address`. */
function waitingText({ waiting }: ConnectorView): string {
  return waiting.map(({ group, code, sessions }) => `${sessions} of ${group}: ${code}`).join("\n");
}

export function resourceTable(resources: readonly ResourceSpec[], width: Width): string {
  if (resources.length === 0) return "No enterprise resource: users reach nothing.";
  return table(
    [
      { title: "Resource" },
      { title: "Destination" },
      { title: "Protocol" },
      { title: "Ports" },
      { title: "Server-Initiated" },
      { title: "User Groups" },
    ],
    resources.map((resource) => [
      resource.name,
      "cidr" in resource.destination ? resource.destination.cidr : resource.destination.domain,
      resource.protocol,
      resource.ports.map(({ from, to }) => (from === to ? from : `${from}-${to}`)).join(",") || "all",
      resource.serverInitiated ? "yes" : "no",
      resource.groups.join(", "),
    ]),
    width,
  );
}

export function groupTable(groups: readonly GroupView[], width: Width): string {
  if (groups.length === 0)
    return "No Device-User-Group yet. Make one: connector-controller group create NAME";
  return table(
    [{ title: "Name" }, { title: "Connector" }, { title: "Pool Name" }, { title: "Devices", align: "right" }],
    groups.map(({ name, connector, pool, devices }) => [
      name,
      connector ?? "-",
      pool ?? "-",
      String(devices),
    ]),
    width,
  );
}
