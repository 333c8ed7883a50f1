import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { openStore } from "../../controller/adapters/store.ts";
import { put } from "../../controller/core/rows.ts";
import { addressAt, type Prefix, parsePrefix } from "../../protocol/address.ts";
import { deviceRow, instanceRow, many, now, savedWith } from "./controller-world.ts";
import { identityOf } from "./group-keys.ts";

/** A group of a bench: each device has one session. Devices from 0 dial over sockets, the rest are in the process. */
export interface GroupShape {
  readonly instances: number;
  readonly sockets: number;
  readonly devices: number;
}

/** An instance's pool is one /80, as 1,400 users on a small instance are served. */
export function rangeOf(instance: number): string {
  return `2600:1f18:2a89:${(0x700 + instance).toString(16)}:1::/80`;
}

export function addressesOf(instance: number): (offset: number) => string {
  return addressAt((parsePrefix(rangeOf(instance)) as { value: Prefix }).value);
}

/**
 * The loopback address a peer dials from: an instance has one of its own, forty devices share one, as behind a NAT, so
 * that the limit on links of one address is what it is in production.
 */
export function dialsFrom(role: "agent" | "device", i: number): string {
  const host = role === "agent" ? i : Math.floor(i / 40);
  return `127.${role === "agent" ? 1 : 2}.${host >> 8}.${host & 255}`;
}

/** A controller's database with the group in it, and nobody attached. */
export async function seed(stateDir: string, shape: GroupShape): Promise<void> {
  await using store = openStore(stateDir);
  const { group, connector } = savedWith(0, 0);
  const { instances, sockets, devices } = shape;
  const stored = await store.commit({
    changes: [
      ...group.map((row) => put("group", row)),
      ...connector.map((row) => put("connector", { ...row, networks: [] })),
      ...many(instances, (i) => {
        const { publicKey: identityKey } = identityOf("agent", i);
        const pools = { Pool1: { ipv4: [], ipv6: [rangeOf(i)] } };
        return put("instance", { ...instanceRow(i), identityKey, pools, enrolledAtMs: now.wallMs });
      }),
      put("counter", { name: "instances", value: instances }),
      ...many(devices, (i) => {
        const row = deviceRow(i);
        const own = i < sockets ? { identityKey: identityOf("device", i).publicKey } : {};
        return put("device", { ...row, ...own });
      }),
    ],
    audit: [],
  });
  if (!stored.ok) throw stored.failure;
}

export interface SessionOnDisk {
  readonly id: string;
  readonly device: string;
  readonly epoch: number;
  readonly state: string;
  readonly instance: string | null;
  readonly ipv6: string | null;
}

/** The sessions as they are on disk, beside the controller that runs on it. */
export function sessionsOnDisk(stateDir: string): SessionOnDisk[] {
  const database = new DatabaseSync(join(stateDir, "controller.db"), { readOnly: true });
  try {
    const query = "SELECT id, device, epoch, state, instance, ipv6 FROM session ORDER BY id";
    return database.prepare(query).all() as unknown as SessionOnDisk[];
  } finally {
    database.close();
  }
}
