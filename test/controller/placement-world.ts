import type { Fleet } from "../../controller/core/fleet.ts";
import type { InstanceRow, SessionRow } from "../../controller/core/rows.ts";
import type { InstanceStatus } from "../../protocol/view.ts";

/** Rows and reports for who looks at placement alone. */
export function instanceRow(
  id: string,
  pools: readonly string[] = ["Pool1"],
  isDrained = false,
): InstanceRow {
  return {
    id,
    name: id,
    connector: "prod",
    identityKey: id,
    wireguardKey: "",
    ec2InstanceId: id,
    managementIp: "10.0.0.1",
    accountId: "",
    region: "us-east-1",
    availabilityZone: "",
    vpcId: "",
    subnetId: "",
    endpoint: "10.0.0.1:51820",
    vpcCidrs: [],
    pools: Object.fromEntries(pools.map((pool) => [pool, { ipv4: ["10.0.0.0/28"], ipv6: [] }])),
    drainSinceMs: isDrained ? 1 : null,
    enrolledAtMs: 0,
  };
}

export function attachedRow(id: string, instance: string): SessionRow {
  const place = { is: "attached", instance, pool: "Pool1", ipv4: "10.0.0.1", ipv6: undefined } as const;
  return { id, device: id, epoch: 1, place, leaving: null };
}

const now = { monotonicMs: 0, wallMs: 0 };

/** The instance has a link, and says this of itself and of the free addresses of its pools. */
export function reportActive(
  fleet: Fleet,
  id: string,
  free: Readonly<Record<string, number>>,
  status: InstanceStatus = "Active",
): void {
  fleet.instanceLinked(id, 1, now);
  const report = {
    status,
    conditions: [],
    version: "1",
    upSinceMs: 0,
    managementIp: "10.0.0.1",
    activeAgents: 0,
    endpoint: "10.0.0.1:51820",
  };
  fleet.instanceReports(id, report, now);
  for (const [pool, count] of Object.entries(free)) {
    const counts = { total: count, leased: 0, cooling: 0, quarantined: 0, free: count };
    fleet.instance(id)?.pools.set(pool, counts);
  }
}
