import { ControllerCore } from "../../controller/core/core.ts";
import type { ControllerEffect, ControllerInput, LinkId } from "../../controller/core/effects.ts";
import type { Makers, Saved } from "../../controller/core/ports.ts";
import { type DeviceRow, type InstanceRow, type SessionRow, tableNames } from "../../controller/core/rows.ts";
import { coreDefaults } from "../../controller/core/settings.ts";
import { addressAt, type Prefix, parsePrefix } from "../../protocol/address.ts";
import type { StateFrame } from "../../protocol/messages.ts";
import type { SessionSpec } from "../../protocol/specs.ts";

/** A group of 64 instances with addresses for everybody, and the controller's core with a store that takes no time. */

export const now = { monotonicMs: 1_000_000, wallMs: 1_800_000_000_000 };
export const instanceCount = 64;
const rangesPerInstance = 96;

export function many<T>(count: number, make: (i: number) => T): T[] {
  return Array.from({ length: count }, (_, i) => make(i));
}

export const idOf = (kind: string, i: number) =>
  `${i.toString(16).padStart(8, "0")}-${kind}-4000-8000-000000000000`;
export const keyOf = (kind: string, i: number) => `${kind}${i.toString(36).padStart(6, "0")}`.padEnd(43, "A");

export function instanceRow(i: number): InstanceRow {
  const ipv4 = many(rangesPerInstance, (range) => `10.${i}.${range}.0/28`);
  return {
    id: idOf("1111", i),
    name: `aws-us-vir-con-${i.toString(16).padStart(5, "0")}`,
    connector: "prod",
    identityKey: keyOf("instance", i),
    wireguardKey: keyOf("wireguard", i),
    ec2InstanceId: `i-${i.toString(16).padStart(17, "0")}`,
    managementIp: `172.18.0.${i}`,
    accountId: "123456789012",
    region: "us-east-1",
    availabilityZone: "us-east-1a",
    vpcId: "vpc-0123456789abcdef0",
    subnetId: "subnet-0123456789abcdef0",
    endpoint: `172.18.0.${i}:51820`,
    vpcCidrs: ["172.18.0.0/16"],
    pools: { Pool1: { ipv4, ipv6: [] } },
    drainSinceMs: null,
    enrolledAtMs: now.wallMs,
  };
}

export function deviceRow(i: number): DeviceRow {
  return {
    id: idOf("2222", i),
    name: `laptop-${i}`,
    user: `user${i}@example.com`,
    group: "staff",
    identityKey: keyOf("device", i),
    wireguardKey: keyOf("tunnel", i),
    joinedAtMs: now.wallMs,
  };
}

export function attachedRow(i: number): SessionRow {
  const on = i % instanceCount;
  const ipv4 = addressOf(on, Math.floor(i / instanceCount));
  const place = {
    is: "attached",
    instance: idOf("1111", on),
    pool: "Pool1",
    ipv4,
    ipv6: undefined,
  } as const;
  return { id: idOf("3333", i), device: idOf("2222", i), epoch: 1, place, leaving: null };
}

const namers = new Map<string, (offset: number) => string>();

function addressOf(instance: number, offset: number): string {
  const text = `10.${instance}.${offset >> 4}.0/28`;
  const namer = namers.get(text) ?? addressAt((parsePrefix(text) as { value: Prefix }).value);
  namers.set(text, namer);
  return namer(offset & 15);
}

export function savedWith(devices: number, sessions: number): Saved {
  const saved = {
    ...Object.fromEntries(tableNames.map((name) => [name, []])),
    controllerId: idOf("0000", 0),
    group: [{ name: "staff", createdAtMs: now.wallMs }],
    connector: [
      {
        name: "prod",
        hosting: "aws",
        mode: "active-active",
        region: "us-east-1",
        dns: { primary: "10.0.0.2" },
        groups: [{ group: "staff", pool: "Pool1", leaseMinutes: 1440 }],
        resources: [],
        ipv6PoolMatch: "exact",
        accounts: [],
        vpc: null,
        createdAtMs: now.wallMs,
      },
    ],
    instance: many(instanceCount, instanceRow),
    device: many(devices, deviceRow),
    session: many(sessions, attachedRow),
    counter: [{ name: "instances", value: instanceCount }],
  };
  // As it comes from a disk: no string is shared between rows.
  return JSON.parse(JSON.stringify(saved)) as Saved;
}

/** Performs the core's effects at once, and grants as the instances would. */
export class ControllerWorld {
  readonly core: ControllerCore;
  readonly #instances = new Map<LinkId, { number: number; granted: number; revision: number }>();
  #links = 0;
  #ids = 0;

  constructor(saved: Saved) {
    const makers: Makers = {
      id: () => idOf("3333", this.#ids++),
      nonce: () => "N".repeat(43),
      secret: () => "",
      hash: () => "",
    };
    this.core = new ControllerCore({ saved, settings: coreDefaults, makers, now });
  }

  /** `attached`: sessions that each has already, at its first addresses. */
  linkInstances(attached = 0): void {
    for (let i = 0; i < instanceCount; i++) {
      const link = this.#hello("agent", keyOf("instance", i), keyOf("wireguard", i));
      this.#instances.set(link, { number: i, granted: attached, revision: 1 });
      const counts = { leased: attached, cooling: 0, quarantined: 0 };
      const total = 16 * rangesPerInstance;
      const report = {
        status: "Active",
        conditions: [],
        version: "0.1.0",
        upSinceMs: now.wallMs,
        managementIp: `172.18.0.${i}`,
        activeAgents: 0,
        endpoint: `172.18.0.${i}:51820`,
      };
      this.#say(link, 0, 1, [
        ["instance", report],
        ["pool/Pool1", { ...counts, total, free: total - attached }],
      ]);
    }
  }

  /** A device comes and wants to be attached; when this returns, it is. */
  linkDevice(i: number): LinkId {
    const link = this.#hello("device", keyOf("device", i), keyOf("tunnel", i));
    const device = { wants: "attached", hostOs: "Debian GNU/Linux 13", version: "0.1.0" };
    this.#say(link, 0, 1, [["device", device]]);
    return link;
  }

  /** An instance leaves; when this returns, its sessions are attached elsewhere and their devices are told. */
  sayGoodbye(i: number): void {
    for (const [link, { number }] of this.#instances) {
      if (number !== i) continue;
      this.#handle({ kind: "received", link, message: { type: "goodbye", reason: "shutdown" } });
      this.#handle({ kind: "disconnected", link });
    }
  }

  #hello(role: "agent" | "device", identityKey: string, wireguardKey: string): LinkId {
    const link = ++this.#links;
    this.#handle({ kind: "connected", link, address: `198.51.${link >> 8}.${link & 255}` });
    const proof = { version: 1, minimumVersion: 1, signature: "s".repeat(86), software: "0.1.0" };
    const message = { type: "hello", role, ...proof, identityKey, wireguardKey, wallMs: now.wallMs } as const;
    this.#handle({ kind: "received", link, message });
    return link;
  }

  #say(link: LinkId, from: number, to: number, set: StateFrame["set"]): void {
    const message: StateFrame = { type: "state", from, to, part: 0, last: true, set, remove: [] };
    this.#handle({ kind: "received", link, message });
  }

  #handle(input: ControllerInput): void {
    for (const effect of this.core.handle(input, now)) this.#perform(effect);
  }

  #perform(effect: ControllerEffect): void {
    if (effect.do === "verify") {
      this.#handle({ kind: "verified", effectId: effect.effectId, proven: true, document: undefined });
    } else if (effect.do === "store") this.#handle({ kind: "stored", effectId: effect.effectId });
    else if (effect.do === "send" && effect.message.type === "state") this.#hear(effect.link, effect.message);
  }

  #hear(link: LinkId, frame: StateFrame): void {
    if (frame.last) this.#handle({ kind: "received", link, message: { type: "ack", revision: frame.to } });
    const instance = this.#instances.get(link);
    if (instance === undefined) return;
    const grants: StateFrame["set"] = [];
    for (const [key, value] of frame.set) {
      const { granted, epoch } = value as SessionSpec;
      if (!key.startsWith("session/") || granted !== undefined) continue;
      grants.push([key, { outcome: "granted", epoch, ipv4: addressOf(instance.number, instance.granted++) }]);
    }
    if (grants.length > 0) this.#say(link, instance.revision, ++instance.revision, grants);
  }
}
