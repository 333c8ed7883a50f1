import { randomBytes } from "node:crypto";
import type { ConnectorInput } from "../../controller/core/admin.ts";
import type { LinkId } from "../../controller/core/effects.ts";
import type { DocumentClaims } from "../../controller/core/ports.ts";
import type { InstanceView, OtpCreated } from "../../controller/core/views.ts";
import type { ControllerMessage, Enrol, Join } from "../../protocol/messages.ts";
import type { Attachment } from "../../protocol/state.ts";
import { StateReceiver, StateSender } from "../../protocol/sync.ts";
import type { Harness } from "./harness.ts";

export const key = () => randomBytes(32).toString("base64url");

export const connectorInput = (change: Partial<ConnectorInput> = {}): ConnectorInput => ({
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
  userIpManagement: "static-ip-pool",
  ...change,
});

let numbers = 0;

/** An EC2 instance with an agent's identity, as far as the controller can tell. */
export class Ec2 {
  readonly number = ++numbers;
  readonly identityKey = key();
  readonly wireguardKey = key();
  readonly instanceId = `i-${this.number.toString(16).padStart(17, "0")}`;
  readonly ip = `172.18.${this.number >> 8}.${this.number & 255}`;

  claims(change: Partial<DocumentClaims> = {}): DocumentClaims {
    return {
      accountId: "123456789012",
      region: "us-east-1",
      availabilityZone: "us-east-1a",
      instanceId: this.instanceId,
      privateIp: this.ip,
      ...change,
    };
  }

  enrol(h: Harness, otp: string, change: Partial<Enrol> = {}, claims: Partial<DocumentClaims> = {}): LinkId {
    const link = h.connect(this.ip);
    const document = JSON.stringify(this.claims(claims));
    if (!h.verdicts.has(document)) h.verdicts.set(document, { is: "genuine", claims: this.claims(claims) });
    h.say(link, {
      type: "enrol",
      version: 1,
      minimumVersion: 1,
      identityKey: this.identityKey,
      signature: "s".repeat(86),
      software: "0.1.0",
      wallMs: h.wallMs,
      otp,
      wireguardKey: this.wireguardKey,
      document,
      documentSignature: "s".repeat(32),
      ec2InstanceId: this.instanceId,
      managementIp: this.ip,
      vpcId: "vpc-0123456789abcdef0",
      subnetId: "subnet-0123456789abcdef0",
      ...change,
    });
    return link;
  }

  hello(h: Harness, change: { signature?: string; version?: number; minimumVersion?: number } = {}): LinkId {
    const link = h.connect(this.ip);
    h.say(link, {
      type: "hello",
      role: "agent",
      version: 1,
      minimumVersion: 1,
      identityKey: this.identityKey,
      signature: "s".repeat(86),
      software: "0.1.0",
      wallMs: h.wallMs,
      wireguardKey: this.wireguardKey,
      ...change,
    });
    return link;
  }
}

/** What a client of the link does for every role: takes state in, acknowledges, says its own. */
class Client {
  readonly desired = new Map<string, unknown>();
  readonly observed = new Map<string, unknown>();
  readonly #receiver = new StateReceiver();
  readonly #sender = new StateSender({
    keys: () => this.observed.keys(),
    get: (name) => this.observed.get(name),
  });
  readonly h: Harness;
  link: LinkId = 0;

  constructor(h: Harness) {
    this.h = h;
  }

  /** Follows a link that is open or about to be; what was already said on it is heard first. */
  on(link: LinkId): this {
    this.link = link;
    this.#receiver.connect();
    this.#sender.connect();
    const hear = (message: ControllerMessage) => this.hear(message);
    for (const message of this.h.sent.get(link) ?? []) hear(message);
    this.h.onMessage.set(link, hear);
    this.flush();
    return this;
  }

  report(entries: Record<string, unknown>): void {
    for (const [name, value] of Object.entries(entries)) {
      if (value === undefined) this.observed.delete(name);
      else this.observed.set(name, value);
      this.#sender.touch(name);
    }
    this.flush();
  }

  flush(): void {
    for (const frame of this.#sender.frames(this.h.monotonicMs))
      this.h.say(this.link, structuredClone(frame));
  }

  protected changed(): void {}

  private hear(message: ControllerMessage): void {
    if (message.type === "ack") {
      this.#sender.acked(message.revision);
      this.flush();
    }
    if (message.type !== "state") return;
    const got = this.#receiver.receive(message);
    if (got.is === "change") {
      if (got.snapshot) this.desired.clear();
      for (const name of got.remove) this.desired.delete(name);
      for (const [name, value] of got.set) this.desired.set(name, value);
      this.changed();
    }
    if (got.is === "change" || got.is === "repeated")
      this.h.say(this.link, { type: "ack", revision: got.ack });
  }
}

/** An agent that grants what it is told as long as it has addresses, and reports like the real one. */
export class FakeAgent extends Client {
  /** Session id to address. */
  readonly granted = new Map<string, { epoch: number; ipv4: string }>();
  isGranting = true;
  readonly #free = new Map<string, number>();
  #addresses = 0;

  /** Free addresses by pool, as it knows them from its disk before it has a link. */
  offer(pools: Record<string, number>): this {
    for (const [pool, free] of Object.entries(pools)) this.#free.set(pool, free);
    return this;
  }

  become(status: "Online" | "Active" | "Draining", pools: Record<string, number>, ec2: Ec2): void {
    this.offer(pools);
    this.report({
      instance: {
        status,
        conditions: [],
        version: "0.1.0",
        upSinceMs: 1,
        managementIp: ec2.ip,
        activeAgents: this.granted.size,
        endpoint: `${ec2.ip}:51820`,
      },
      ...this.#counts(),
    });
    this.changed();
  }

  get sessions(): number {
    return this.granted.size;
  }

  protected override changed(): void {
    if (!this.isGranting) return;
    const report: Record<string, unknown> = {};
    for (const id of [...this.granted.keys()]) {
      if (this.desired.has(`session/${id}`)) continue;
      this.granted.delete(id);
      report[`session/${id}`] = undefined;
    }
    for (const [name, value] of this.desired) {
      if (!name.startsWith("session/")) continue;
      const id = name.slice("session/".length);
      const { epoch, pool } = value as { epoch: number; pool: string };
      if (this.granted.get(id)?.epoch === epoch) continue;
      const free = this.#free.get(pool) ?? 0;
      if (free === 0) {
        report[name] = { outcome: "refused", epoch, code: "pool.full" };
        continue;
      }
      this.#free.set(pool, free - 1);
      this.#addresses += 1;
      const ipv4 = `10.9.${this.#addresses >> 8}.${this.#addresses & 255}`;
      this.granted.set(id, { epoch, ipv4 });
      report[name] = { outcome: "granted", epoch, ipv4 };
    }
    if (Object.keys(report).length > 0) this.report({ ...report, ...this.#counts() });
  }

  #counts(): Record<string, unknown> {
    return Object.fromEntries(
      [...this.#free].map(([pool, free]) => [
        `pool/${pool}`,
        { total: free + this.granted.size, leased: this.granted.size, cooling: 0, quarantined: 0, free },
      ]),
    );
  }
}

export class FakeDevice extends Client {
  get attachment(): Attachment | undefined {
    return this.desired.get("attachment") as Attachment | undefined;
  }

  wants(what: "attached" | "detached"): void {
    this.report({ device: { wants: what, hostOs: "Debian", version: "0.1.0" } });
  }
}

export function join(
  h: Harness,
  code: string,
  change: Partial<Join> = {},
): { link: LinkId; identityKey: string } {
  const link = h.connect("198.51.100.7");
  const identityKey = change.identityKey ?? key();
  h.say(link, {
    type: "join",
    version: 1,
    minimumVersion: 1,
    identityKey,
    signature: "s".repeat(86),
    software: "0.1.0",
    wallMs: h.wallMs,
    code,
    wireguardKey: key(),
    name: "laptop",
    ...change,
  });
  return { link, identityKey };
}

export function helloDevice(h: Harness, identityKey: string): LinkId {
  const link = h.connect("198.51.100.7");
  h.say(link, {
    type: "hello",
    role: "device",
    version: 1,
    minimumVersion: 1,
    identityKey,
    signature: "s".repeat(86),
    software: "0.1.0",
    wallMs: h.wallMs,
    wireguardKey: key(),
  });
  return link;
}

export function otpFor(h: Harness, connector = "prod"): OtpCreated {
  return h.do({ command: "otp.create", connector, lifeMinutes: 1440 });
}

/** A connector with the group staff. */
export function withConnector(h: Harness, change: Partial<ConnectorInput> = {}): void {
  h.do({ command: "group.create", group: "staff" });
  h.do({ command: "connector.create", connector: connectorInput(change) });
}

/** An instance that is enrolled and Active with a /28 of its own. */
export function activeInstance(
  h: Harness,
  free = 16,
): { ec2: Ec2; agent: FakeAgent; view: InstanceView; name: string } {
  const ec2 = new Ec2();
  const link = ec2.enrol(h, otpFor(h).secret);
  const name = h.heard(link, "enrolled")[0]?.name;
  if (name === undefined) throw new Error(`not enrolled: ${h.refusal(link)}`);
  const ipv4 = [`10.8.${ec2.number >> 4}.${(ec2.number & 15) * 16}/28`];
  const view = h.do({ command: "instance.pools.set", instance: name, pools: { Pool1: { ipv4, ipv6: [] } } });
  const agent = new FakeAgent(h).on(link);
  agent.become("Active", { Pool1: free }, ec2);
  return { ec2, agent, view, name };
}

/** A device of the group staff that wants to be attached. */
export function attachedDevice(h: Harness, user = "ada", group = "staff") {
  const { secret } = h.do({ command: "deviceCode.create", user, group, lifeMinutes: 60 });
  const { link, identityKey } = join(h, secret);
  const id = h.heard(link, "joined")[0]?.device;
  if (id === undefined) throw new Error(`not joined: ${h.refusal(link)}`);
  const device = new FakeDevice(h).on(link);
  device.wants("attached");
  return { device, id, identityKey, link };
}
