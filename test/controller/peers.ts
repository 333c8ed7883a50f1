import { randomBytes } from "node:crypto";
import type { ConnectorInput } from "../../controller/core/admin.ts";
import type { LinkId } from "../../controller/core/effects.ts";
import type { DocumentClaims } from "../../controller/core/ports.ts";
import type { InstanceView, OtpCreated } from "../../controller/core/views.ts";
import type { Enrol, Join } from "../../protocol/messages.ts";
import { addressesOf, FakeAgent, FakeDevice } from "./fakes.ts";
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
  networks: [],
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
      ...proven(h, this.identityKey),
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
      ...proven(h, this.identityKey),
      wireguardKey: this.wireguardKey,
      ...change,
    });
    return link;
  }
}

/** What every greeting says. */
function proven(h: Harness, identityKey: string) {
  const version = { version: 1, minimumVersion: 1, software: "0.1.0" };
  return { ...version, identityKey, signature: "s".repeat(86), wallMs: h.wallMs };
}

/** Where devices dial from, when nothing depends on it. */
export const office = "198.51.100.7";

export function join(
  h: Harness,
  code: string,
  change: Partial<Join> = {},
  address = office,
): { link: LinkId; identityKey: string } {
  const link = h.connect(address);
  const identityKey = change.identityKey ?? key();
  h.say(link, {
    type: "join",
    ...proven(h, identityKey),
    code,
    wireguardKey: key(),
    name: "laptop",
    ...change,
  });
  return { link, identityKey };
}

export function helloDevice(h: Harness, identityKey: string, wireguardKey = key()): LinkId {
  const link = h.connect(office);
  h.say(link, {
    type: "hello",
    role: "device",
    ...proven(h, identityKey),
    wireguardKey,
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

/** A connector with the groups staff, in Pool1, and guests, in Pool2. */
export function withTwoGroups(h: Harness, change: Partial<ConnectorInput> = {}): void {
  h.do({ command: "group.create", group: "guests" });
  const guests = { group: "guests", pool: "Pool2", leaseMinutes: 60 };
  withConnector(h, { groups: [...connectorInput().groups, guests], ...change });
}

/** An instance that is enrolled and Active with a /28 of its own. */
export function activeInstance(
  h: Harness,
  free = 16,
): { ec2: Ec2; agent: FakeAgent; view: InstanceView; name: string; addresses: readonly string[] } {
  const ec2 = new Ec2();
  const link = ec2.enrol(h, otpFor(h).secret);
  const name = h.heard(link, "enrolled")[0]?.name;
  if (name === undefined) throw new Error(`not enrolled: ${h.refusal(link)}`);
  const ipv4 = [`10.8.${ec2.number >> 4}.${(ec2.number & 15) * 16}/28`];
  const view = h.do({ command: "instance.pools.set", instance: name, pools: { Pool1: { ipv4, ipv6: [] } } });
  const agent = new FakeAgent(h).on(link);
  agent.become("Active", { Pool1: free }, ec2);
  return { ec2, agent, view, name, addresses: ipv4.flatMap(addressesOf) };
}

/** A device of the group staff that wants to be attached. */
export function attachedDevice(h: Harness, user = "ada", group = "staff", address = office) {
  const { secret } = h.do({ command: "deviceCode.create", user, group, lifeMinutes: 60 });
  const { link, identityKey } = join(h, secret, {}, address);
  const id = h.heard(link, "joined")[0]?.device;
  if (id === undefined) throw new Error(`not joined: ${h.refusal(link)}`);
  const device = new FakeDevice(h).on(link);
  device.wants("attached");
  return { device, id, identityKey, link };
}
