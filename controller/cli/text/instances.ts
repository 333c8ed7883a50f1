import { list, table } from "../../../protocol/node/table.ts";
import { timestamp } from "../../../protocol/node/text.ts";
import type { InstancePoolView, InstanceView } from "../../core/views.ts";
import { drainLines, drainText } from "./drain.ts";

type Width = number | undefined;

/** The portal's instance list: its columns, in its order. */
export function instanceTable(instances: readonly InstanceView[], width: Width): string {
  if (instances.length === 0) {
    return "No instance has enrolled yet. Launch one with an OTP: connector-controller otp create --help";
  }
  const carrying = instances
    .filter(({ role }) => role !== null)
    .map(({ name, role, connector }) =>
      role === "carrier"
        ? `${name}: carries the sessions of ${connector}`
        : `${name}: stands by for ${connector}`,
    );
  const judged = instances
    .filter(({ judgement, draining }) => judgement.is !== "serving" || draining !== null)
    .map((instance) => `${instance.name}: ${standingText(instance)}`);
  const below = [...carrying, ...judged];
  return [portalTable(instances, width), ...(below.length === 0 ? [] : [below.join("\n")])].join("\n\n");
}

function portalTable(instances: readonly InstanceView[], width: Width): string {
  return table(
    [
      { title: "Name" },
      { title: "Provider Instance Id" },
      { title: "Status" },
      { title: "Management IP" },
      { title: "Active Agents", align: "right" },
      { title: "User Group Associations", max: 24 },
      { title: "Version" },
      { title: "Up Since" },
    ],
    instances.map((instance) => [
      instance.name,
      instance.providerInstanceId,
      instance.status,
      instance.managementIp,
      String(instance.activeAgents),
      associations(instance.userGroupAssociations.map(({ pool }) => pool)),
      instance.version ?? "-",
      timestamp(instance.upSinceMs ?? undefined),
    ]),
    width,
  );
}

/** `Pool1 +1`: the first, and how many more. */
export function associations(pools: readonly string[]): string {
  const [first, ...more] = pools;
  if (first === undefined) return "-";
  return more.length === 0 ? first : `${first} +${more.length}`;
}

export function instanceText(instance: InstanceView, width: Width): string {
  const facts = list([
    ["Name", instance.name],
    ["Connector", instance.connector],
    ["Provider Instance Id", instance.providerInstanceId],
    ["Status", instance.status],
    ...(instance.draining === null ? [] : [["Draining", drainText(instance.draining)] as const]),
    ...(instance.role === null ? [] : [["Role", roles[instance.role]] as [string, string]]),
    ["Management IP", instance.managementIp],
    ["Active Agents", String(instance.activeAgents)],
    ["Sessions", String(instance.sessions)],
    ["Judgement", judgementText(instance)],
    ["Version", instance.version ?? "-"],
    ["Up Since", timestamp(instance.upSinceMs ?? undefined)],
    ["Process", instance.process ?? "-"],
    ["Link", instance.linkUpSinceMs === null ? "down" : `up since ${timestamp(instance.linkUpSinceMs)}`],
    ["Last Seen", timestamp(instance.lastSeenMs ?? undefined)],
    ["Enrolled", timestamp(instance.enrolledAtMs)],
    ["AWS Account", instance.accountId],
    ["Zone", instance.availabilityZone],
    ["VPC and Subnet", `${instance.vpcId}\n${instance.subnetId}`],
    ["VPC CIDR Blocks", instance.vpcCidrs.join("\n") || "not reported yet"],
    ["Prefixes", prefixes(instance)],
  ]);
  const parts = [facts, pools(instance.pools, width)];
  parts.push(attention(instance));
  return parts.join("\n\n");
}

const roles = { carrier: "carries the sessions", standby: "stands by" } as const;

const reasons = {
  administrator: "an administrator drains it",
  restart: "it is its turn in a rolling restart",
  instance: "it drains",
  failover: "the other instance carries now",
  goodbye: "it said goodbye",
  "link-lost": "its link is lost",
  devices: "its devices say that their path is dead",
} as const satisfies Record<NonNullable<InstanceView["judgement"]["why"]>, string>;

/** An instance that is gone is worse than one that drains, whatever else is true of it. */
function standingText(instance: InstanceView): string {
  const { judgement, draining } = instance;
  return draining === null || judgement.is === "gone" ? judgementText(instance) : drainLines(draining);
}

/** `gone since …: its link is lost; 12 moved, 1 waits for an address`. */
export function judgementText({ judgement, linkUpSinceMs }: InstanceView): string {
  const { is, why, sinceMs, devicesAlive, devicesDead, moved, leaving, waiting } = judgement;
  const devices = devicesDead === 0 ? [] : [`devices: ${devicesDead} say dead, ${devicesAlive} alive`];
  const handing = leaving === 0 ? [] : [`${leaving} coming over`];
  if (is === "serving") {
    const what = linkUpSinceMs === null ? "not judged yet, it may come back" : is;
    return [what, ...devices, ...handing].join("; ");
  }
  const stuck = waiting === 0 ? [] : [`${waiting} without another place`];
  const sessions = [`sessions: ${moved} moved`, ...handing, ...stuck].join(", ");
  const because = why === null ? "" : `: ${reasons[why]}`;
  return [`${is} since ${timestamp(sinceMs ?? undefined)}${because}`, ...devices, sessions].join("; ");
}

function attention({ status, conditions }: InstanceView): string {
  if (status === "Offline") return "The link is down. Look on the instance: connector status";
  if (conditions.length === 0) return "No condition: nothing needs attention.";
  return conditions
    .map(({ severity, code, text, hint }) => `${severity}: ${text} [${code}]\n  → ${hint}`)
    .join("\n");
}

function prefixes({ prefixes }: InstanceView): string {
  if (prefixes === null) return "not reported yet";
  const all = [...prefixes.ipv4, ...prefixes.ipv6];
  return all.length === 0 ? `none assigned in EC2 (read ${timestamp(prefixes.readAtMs)})` : all.join("\n");
}

function pools(views: readonly InstancePoolView[], width: Width): string {
  if (views.length === 0) return "The connector has no pool: add Device-User-Groups to it.";
  const count = (value: number | undefined) => (value === undefined ? "-" : String(value));
  return table(
    [
      { title: "Pool Name" },
      { title: "User Group" },
      { title: "Leased", align: "right" },
      { title: "Cooling", align: "right" },
      { title: "Free", align: "right" },
      { title: "Total", align: "right" },
      { title: "IP Pools" },
    ],
    views.flatMap(({ pool, group, ipv4, ipv6, reported }) => {
      const [first = "none", ...more] = [...ipv4, ...ipv6];
      const counts = [reported?.leased, reported?.cooling, reported?.free, reported?.total].map(count);
      return [[pool, group, ...counts, first], ...more.map((range) => ["", "", "", "", "", "", range])];
    }),
    width,
  );
}
