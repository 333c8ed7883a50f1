import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { openStore } from "../../controller/adapters/store.ts";
import { type Controller, startController } from "../../controller/controller.ts";
import type { Change, DeviceRow, InstanceRow, SessionRow } from "../../controller/core/rows.ts";
import { put } from "../../controller/core/rows.ts";
import { createTokenLocally } from "../../controller/local.ts";
import { createAuthority, loopbackNames } from "../../lab/certificates.ts";
import { createLogger } from "../../protocol/node/log.ts";
import { temporaryFolder } from "../support/folder.ts";
import type { Http } from "./http.ts";
import { key } from "./peers.ts";

export const createdAtMs = Date.UTC(2024, 9, 28, 10, 48, 6);

export const ids = {
  device: (n: number) => `00000000-0000-4000-8000-${n.toString(16).padStart(12, "0")}`,
  session: (n: number) => `00000000-0000-4000-9000-${n.toString(16).padStart(12, "0")}`,
  instance: (n: number) => `00000000-0000-4000-a000-${n.toString(16).padStart(12, "0")}`,
};

export interface Served extends Http, AsyncDisposable {
  readonly controller: Controller;
  readonly folder: string;
  readonly stateDir: string;
}

/**
 * A real controller over TLS with a real database, in which connector `prod` (groups Sales with Pool1 and Guests with
 * Pool2) has two instances that are away and devices that wait for them.
 */
export async function serveReal(devices = 3, more: readonly Change[] = []): Promise<Served> {
  await using stack = new AsyncDisposableStack();
  const { path: folder } = stack.use(temporaryFolder());
  const stateDir = join(folder, "state");
  const awsCertificates = join(folder, "aws");
  mkdirSync(awsCertificates);
  await seed(stateDir, devices, more);
  const token = await createTokenLocally(stateDir, "admin");
  if (!token.ok) throw token.failure;
  const authority = await createAuthority();
  const { certificatePem: cert, privateKeyPem } = await authority.issueServer(loopbackNames);
  const controller = await startController({
    host: "127.0.0.1",
    port: 0,
    stateDir,
    tls: { cert, key: privateKeyPem },
    awsCertificates,
    log: createLogger({ name: "test", level: "silent" }),
    // Nobody comes back here: nothing is judged while a test looks at what was seeded.
    settings: { settleMs: 600_000 },
  });
  stack.use(controller);
  const owned = stack.move();
  return {
    url: controller.url,
    ca: authority.certificatePem,
    token: token.value.secret,
    controller,
    folder,
    stateDir,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

async function seed(stateDir: string, devices: number, more: readonly Change[]): Promise<void> {
  await using store = openStore(stateDir);
  const groups = [
    { group: "Sales", pool: "Pool1", leaseMinutes: 1440 },
    { group: "Guests", pool: "Pool2", leaseMinutes: 60 },
  ];
  const connector = {
    name: "prod",
    hosting: "aws",
    mode: "active-active",
    region: "us-east-1",
    dns: { primary: "10.0.0.2" },
    groups,
    resources: [],
    ipv6PoolMatch: "exact",
    networks: [],
    accounts: [],
    vpc: null,
    createdAtMs,
  } as const;
  const stored = await store.commit({
    changes: [
      ...groups.map(({ group }) => put("group", { name: group, createdAtMs })),
      put("connector", connector),
      put("instance", instance(1, "172.18.140.76")),
      put("instance", instance(2, "172.18.139.171")),
      put("counter", { name: "instances", value: 2 }),
      ...Array.from({ length: devices }, (_, i) => put("device", device(i + 1))),
      ...Array.from({ length: devices }, (_, i) => put("session", session(i + 1))),
      ...more,
    ],
    audit: [],
  });
  if (!stored.ok) throw stored.failure;
}

function instance(n: number, managementIp: string): InstanceRow {
  return {
    id: ids.instance(n),
    name: `aws-us-east-1-con-${n.toString(16).padStart(5, "0")}`,
    connector: "prod",
    identityKey: key(),
    wireguardKey: key(),
    ec2InstanceId: `i-0e306ccdf94ab12${n.toString().padStart(2, "0")}`,
    managementIp,
    accountId: "123456789012",
    region: "us-east-1",
    availabilityZone: "us-east-1a",
    vpcId: "vpc-0a1b2c3d4e5f67890",
    subnetId: "subnet-0a1b2c3d4e5f67890",
    endpoint: null,
    vpcCidrs: ["172.18.0.0/16", "2600:1f18:2a89:700::/56"],
    pools: {},
    drainSinceMs: null,
    enrolledAtMs: createdAtMs,
  };
}

function device(n: number): DeviceRow {
  return {
    id: ids.device(n),
    name: `laptop${n}`,
    user: `user${n}@example.com`,
    group: n % 2 === 1 ? "Sales" : "Guests",
    identityKey: key(),
    wireguardKey: key(),
    joinedAtMs: createdAtMs,
  };
}

function session(n: number): SessionRow {
  const place = { is: "waiting", code: "placement.no-instance" } as const;
  return { id: ids.session(n), device: ids.device(n), epoch: 1, place, leaving: null };
}
