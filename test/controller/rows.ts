import { type AuditDraft, type Change, put } from "../../controller/core/rows.ts";
import { connectorInput } from "./peers.ts";

const { userIpManagement: _, ...connector } = connectorInput({
  vpc: "vpc-01234567",
  networks: ["10.9.0.0/16"],
  accounts: ["123456789012"],
});

/** A row of every table, with every kind of value. */
export const rows: readonly Change[] = [
  put("group", { name: "staff", createdAtMs: 1 }),
  put("connector", { ...connector, createdAtMs: 2 }),
  put("otp", {
    id: "o1",
    hash: "h1",
    connector: "prod",
    use: { is: "used", identityKey: "k", by: "aws-us-vir-con-00001" },
    createdAtMs: 3,
    expiresAtMs: 4,
    createdBy: "local",
  }),
  put("deviceCode", {
    id: "c1",
    hash: "h2",
    user: "ada",
    group: "staff",
    use: { is: "open" },
    createdAtMs: 3,
    expiresAtMs: 4,
    createdBy: "token:ci",
  }),
  put("instance", {
    id: "i1",
    name: "aws-us-vir-con-00001",
    connector: "prod",
    identityKey: "k1",
    wireguardKey: "w1",
    ec2InstanceId: "i-0123456789abcdef0",
    managementIp: "10.0.0.4",
    accountId: "123456789012",
    region: "us-east-1",
    availabilityZone: "us-east-1a",
    vpcId: "vpc-01234567",
    subnetId: "subnet-01234567",
    endpoint: null,
    vpcCidrs: ["10.0.0.0/16", "2001:db8::/56"],
    pools: { Pool1: { ipv4: ["10.0.1.16/28"], ipv6: ["2001:db8::/80"] } },
    drainSinceMs: null,
    enrolledAtMs: 5,
  }),
  put("device", {
    id: "d1",
    name: "laptop",
    user: "ada",
    group: "staff",
    identityKey: "k2",
    wireguardKey: "w2",
    joinedAtMs: 6,
  }),
  put("session", {
    id: "s1",
    device: "d1",
    epoch: 1,
    place: { is: "waiting", code: "placement.no-address" },
    leaving: null,
  }),
  put("session", {
    id: "s2",
    device: "d2",
    epoch: 2,
    place: { is: "placed", instance: "i1", pool: "Pool1" },
    leaving: { epoch: 1, instance: "i2", pool: "Pool1", ipv4: "10.0.2.17", ipv6: undefined, untilMs: 9 },
    lost: { instance: "i2", reason: "ended", code: "lease.quarantined" },
  }),
  put("session", {
    id: "s3",
    device: "d3",
    epoch: 3,
    place: { is: "attached", instance: "i1", pool: "Pool1", ipv4: "10.0.1.17", ipv6: undefined },
    leaving: null,
  }),
  put("carrier", { name: "prod", instance: "i1", sinceMs: 6, why: "failover" }),
  put("token", { name: "ci", hash: "h3", createdAtMs: 7, createdBy: "local" }),
  put("counter", { name: "instances", value: 1 }),
];

export const entry = (subject: string): AuditDraft => ({
  atMs: 8,
  actor: "token:ci",
  action: "group.create",
  subject,
  before: null,
  after: { name: "staff" },
});
