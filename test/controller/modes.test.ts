import { describe, expect, test } from "vitest";
import { connectorText, failoverText } from "../../controller/cli/text/connectors.ts";
import { instanceTable } from "../../controller/cli/text/instances.ts";
import type { AdminCommand, ConnectorChange } from "../../controller/core/admin.ts";
import type { Problem } from "../../controller/core/problem.ts";
import type { CoreSettings } from "../../controller/core/settings.ts";
import { FakeDevice } from "./fakes.ts";
import { Harness } from "./harness.ts";
import {
  activeInstance,
  attachedDevice,
  connectorInput,
  Ec2,
  helloDevice,
  otpFor,
  withConnector,
} from "./peers.ts";

type Instance = ReturnType<typeof activeInstance>;
type Device = ReturnType<typeof attachedDevice>;

/** An active-standby connector of two, with so many devices whose paths work. */
function pair(devices: number, free = 16, settings: Partial<CoreSettings> = {}) {
  const h = new Harness({
    heartbeatMs: { agent: 60_000, device: 60_000 },
    silentHeartbeats: 10,
    ...settings,
  });
  withConnector(h, { mode: "active-standby" });
  const [a, b] = [activeInstance(h, free), activeInstance(h, free)];
  const users = Array.from({ length: devices }, (_, i) => attachedDevice(h, `u${i}`));
  for (const user of users) says(user, "alive");
  return { h, a, b, users };
}

/** The device holds what it was told, and says how that works. */
function says({ device }: Device, verdict: "alive" | "dead"): void {
  const { attachment } = device;
  if (attachment?.state !== "attached") throw new Error("nothing to hold");
  const { session, epoch, instance, ipv4 } = attachment;
  device.report({
    held: { session, epoch, instance, ipv4 },
    path: { session, epoch, instance, verdict, sinceMs: 1 },
  });
}

const cut = (h: Harness, link: number) => {
  h.onMessage.delete(link);
  h.post({ kind: "disconnected", link });
};
const back = (h: Harness, { agent, ec2 }: Instance) => {
  agent.on(ec2.hello(h));
  agent.become("Active", {}, ec2);
};
const loads = ({ a, b }: { a: Instance; b: Instance }) => [a.agent.sessions, b.agent.sessions];
const carrier = (h: Harness) => h.views.connector("prod")?.carrier;
const failover = (h: Harness, to?: string) =>
  h.do({ command: "connector.failover", connector: "prod", ...(to === undefined ? {} : { to }) });
const audited = (h: Harness, action: string) => h.store.audit.filter((entry) => entry.action === action);

describe("in active-standby", () => {
  test("the first that is Active carries everything, however full it gets", () => {
    const group = pair(4, 4);
    const { h, a, b } = group;
    attachedDevice(h, "fifth");
    expect(loads(group)).toEqual([4, 0]);
    expect(carrier(h)).toMatchObject({ instance: a.name, why: "first", sessionsElsewhere: 0 });
    expect(h.views.connector("prod")?.waiting).toEqual([
      { group: "staff", code: "placement.no-address", sessions: 1 },
    ]);
    expect(h.views.instances().map(({ name, role }) => [name, role])).toEqual([
      [a.name, "carrier"],
      [b.name, "standby"],
    ]);
  });

  test.each([
    ["says goodbye", (h: Harness, one: Instance) => h.say(one.agent.link, { type: "goodbye", reason: "x" })],
    ["is drained", (h: Harness, { name }: Instance) => h.do({ command: "instance.drain", instance: name })],
    ["is removed", (h: Harness, { name }: Instance) => h.do({ command: "instance.remove", instance: name })],
    ["says that it drains", (_: Harness, { agent, ec2 }: Instance) => agent.become("Draining", {}, ec2)],
  ])("when the one that carries %s, the other takes over, once and for all", (_, happens) => {
    const group = pair(4);
    const { h, a, b, users } = group;
    happens(h, a);
    for (const user of users) says(user, "alive");
    h.pass(1_000);
    expect(b.agent.sessions).toBe(4);
    expect(carrier(h)).toMatchObject({ instance: b.name, why: "takeover", sessionsElsewhere: 0 });
    expect(audited(h, "connector.carrier")).toHaveLength(2);
    if (h.views.instance(a.name) === undefined) return;
    if (h.views.instance(a.name)?.drain) h.do({ command: "instance.resume", instance: a.name });
    if (h.views.instance(a.name)?.status !== "Active") back(h, a);
    attachedDevice(h, "late");
    h.pass(120_000);
    expect(loads(group)).toEqual([0, 5]);
    expect(carrier(h)?.instance).toBe(b.name);
  });

  test("who was silently lost is replaced when its link's grace is over, and not before", () => {
    const { h, a, b, users } = pair(4);
    h.pass(5_000);
    for (const { device } of users) device.report({ path: undefined });
    cut(h, a.agent.link);
    h.pass(2_900);
    const late = attachedDevice(h, "late");
    expect(late.device.attachment, "it may be back").toMatchObject({ state: "waiting" });
    expect(carrier(h)?.instance).toBe(a.name);
    h.pass(400);
    expect(carrier(h)).toMatchObject({ instance: b.name, why: "takeover" });
    expect(audited(h, "connector.carrier").at(-1)).toMatchObject({
      actor: "controller",
      subject: "connector/prod",
      before: { carrier: a.name },
      after: { carrier: b.name, reason: "link-lost" },
    });
    expect(b.agent.sessions).toBe(5);
  });

  test("an agent that restarts goes on carrying; one that is not Active for longer does not", () => {
    const { h, a, b } = pair(2);
    cut(h, a.agent.link);
    h.pass(1_000);
    a.agent.on(a.ec2.hello(h));
    a.agent.become("Online", {}, a.ec2);
    h.pass(2_000);
    a.agent.become("Active", {}, a.ec2);
    h.pass(60_000);
    expect(carrier(h)?.instance).toBe(a.name);
    a.agent.become("Online", {}, a.ec2);
    h.pass(2_900);
    expect(carrier(h)?.instance).toBe(a.name);
    h.pass(200);
    expect(carrier(h)).toMatchObject({ instance: b.name, sessionsElsewhere: 2 });
    expect(audited(h, "connector.carrier").at(-1)?.after).toMatchObject({ reason: "not-active" });
  });

  test("whose path works under a dead agent keeps it; failover brings it over", () => {
    const group = pair(3);
    const { h, a, b, users } = group;
    cut(h, a.agent.link);
    h.pass(10_000);
    expect(carrier(h)).toMatchObject({ instance: b.name, sessionsElsewhere: 3 });
    back(h, a);
    h.pass(60_000);
    expect(loads(group)).toEqual([3, 0]);
    failover(h, b.name);
    for (const user of users) says(user, "alive");
    h.pass(1_000);
    expect(loads(group)).toEqual([0, 3]);
  });

  test("who finds no address on the one that takes over is back where it is when nothing speaks against that", () => {
    const group = pair(3);
    const { h, a, b, users } = group;
    // What the other offers is gone when it is asked for.
    b.agent.offer({ Pool1: 0 });
    h.do({ command: "instance.drain", instance: a.name });
    h.pass(1_000);
    expect(h.views.sessions().map(({ state, leaving }) => [state, leaving?.instance])).toEqual(
      Array(3).fill(["waiting", a.name]),
    );
    h.do({ command: "instance.resume", instance: a.name });
    h.pass(1_000);
    expect(h.views.sessions().map(({ state, instance, leaving }) => [state, instance, leaving])).toEqual(
      Array(3).fill(["attached", a.name, null]),
    );
    for (const user of users) says(user, "alive");
    expect(carrier(h)).toMatchObject({ instance: b.name, sessionsElsewhere: 3 });
    expect(h.views.connector("prod")?.waiting).toEqual([]);
    expect(loads(group)).toEqual([3, 0]);
  });

  test("nobody is there: who carried is waited for, and carries again when it is the first back", () => {
    const { h, a, b } = pair(2);
    cut(h, a.agent.link);
    cut(h, b.agent.link);
    h.pass(20_000);
    back(h, a);
    h.pass(20_000);
    expect(carrier(h)).toMatchObject({ instance: a.name, why: "first" });
  });

  test("a device alone with a dead path may use the standby: its traffic ranks above tidiness", () => {
    const group = pair(3);
    const { h, b, users } = group;
    const [user] = users;
    if (user === undefined) throw new Error("three");
    says(user, "dead");
    h.pass(2_000);
    expect(h.views.device(user.id)?.session).toMatchObject({ instance: b.name, state: "attached" });
    expect(carrier(h)?.sessionsElsewhere).toBe(1);
  });

  test("the choice is stored before anybody is sent there, and tried again when the store fails", () => {
    const { h, a, b } = pair(0);
    h.failing = "store.full";
    h.say(a.agent.link, { type: "goodbye", reason: "x" });
    expect(carrier(h)?.instance).toBe(a.name);
    h.failing = undefined;
    h.pass(2_000);
    expect(carrier(h)?.instance).toBe(b.name);
  });

  test("another mode has no carrier, and back in active-standby the one with most sessions has", () => {
    const { h, b } = pair(2);
    const mode = (mode: "active-active" | "active-standby") =>
      h.do({ command: "connector.update", connector: "prod", change: { mode } });
    expect(mode("active-active").carrier).toBeNull();
    expect(h.store.saved().carrier).toEqual([]);
    for (let i = 0; i < 3; i++) attachedDevice(h, `v${i}`);
    h.do({ command: "session.end", session: h.views.sessions()[0]?.id ?? "" });
    mode("active-standby");
    h.pass(100);
    const most = h.views.instances().toSorted((x, y) => y.sessions - x.sessions)[0];
    expect(most?.sessions).toBe(3);
    expect(carrier(h)?.instance).toBe(most?.name ?? b.name);
  });
});

describe("failover", () => {
  test("moves every session with make before break, and is the only way back", () => {
    const group = pair(4);
    const { h, a, b, users } = group;
    const answer = failover(h);
    expect(answer.carrier).toMatchObject({ instance: b.name, why: "failover" });
    expect(h.views.instance(a.name)?.judgement).toMatchObject({ is: "serving", leaving: 4 });
    expect(h.views.sessions().map(({ instance, leaving }) => [instance, leaving?.instance])).toEqual(
      Array(4).fill([b.name, a.name]),
    );
    expect(loads(group), "both serve").toEqual([4, 4]);
    for (const user of users) says(user, "alive");
    expect(loads(group)).toEqual([0, 4]);
    expect(audited(h, "connector.failover")).toMatchObject([
      { actor: "token:test", before: { carrier: a.name }, after: { carrier: b.name } },
    ]);
    expect(audited(h, "sessions.move")).toMatchObject([
      { subject: `instance/${a.name}`, after: { reason: "failover", moved: 4, to: { [b.name]: 4 } } },
    ]);
    expect(h.core.metricsFacts().totals.moved.failover).toBe(4);
    failover(h, a.name);
    for (const user of users) says(user, "alive");
    expect(loads(group)).toEqual([4, 0]);
    const { commits } = h.store;
    failover(h, a.name);
    expect(h.store.commits, "asked twice, nothing is done twice").toBe(commits);
    h.pass(60_000);
    expect(h.store.commits, "it is quiet").toBe(commits);
  });

  test("goes on over a restart of the controller, which changes nothing about who carries", () => {
    const group = pair(3, 16, { settleMs: 1_000 });
    const { h, a, b, users } = group;
    b.agent.isGranting = false;
    failover(h);
    h.restart();
    expect(carrier(h)).toMatchObject({ instance: b.name, why: "failover" });
    b.agent.isGranting = true;
    for (const one of [a, b]) back(h, one);
    const again = users.map((user) => {
      const device = new FakeDevice(h).on(helloDevice(h, user.identityKey));
      device.wants("attached");
      return { ...user, device };
    });
    h.pass(2_000);
    for (const user of again) says(user, "alive");
    h.pass(1_000);
    expect(loads(group)).toEqual([0, 3]);
    expect(carrier(h)?.instance).toBe(b.name);
  });

  test("leaves who finds no address where it is, says so, and brings it when one frees", () => {
    const group = pair(4);
    const { h, a, b, users } = group;
    b.agent.become("Active", { Pool1: 3 }, b.ec2);
    failover(h);
    for (const user of users) says(user, "alive");
    expect(loads(group)).toEqual([1, 3]);
    expect(h.views.instance(a.name)?.judgement).toMatchObject({
      is: "leaving",
      why: "failover",
      moved: 3,
      waiting: 1,
    });
    expect(instanceTable(h.views.instances(), undefined)).toMatch(
      /leaving since .*: the other instance carries now; sessions: 3 moved, 1 without another place/,
    );
    b.agent.become("Active", { Pool1: 1 }, b.ec2);
    h.pass(150);
    for (const user of users) says(user, "alive");
    expect(loads(group)).toEqual([0, 4]);
    expect(h.views.instance(a.name)?.judgement.is).toBe("serving");
  });

  test("is taken back when the new one is lost on the way", () => {
    const group = pair(4);
    const { h, a, b, users } = group;
    b.agent.isGranting = false;
    failover(h);
    h.say(b.agent.link, { type: "goodbye", reason: "x" });
    cut(h, b.agent.link);
    h.pass(1_000);
    expect(carrier(h)).toMatchObject({ instance: a.name, why: "takeover" });
    expect(a.agent.sessions).toBe(4);
    for (const user of users) says(user, "alive");
    const late = attachedDevice(h, "late");
    expect(late.device.attachment).toMatchObject({ state: "attached", instance: a.name });
  });

  test("is shown to people", () => {
    const { h, a, b } = pair(2);
    const shown = failover(h);
    expect(failoverText(shown)).toMatch(
      new RegExp(
        `^${b.name} since .*, by command.*\\nFollow it with: connector-controller connector show prod$`,
      ),
    );
    expect(connectorText(shown, undefined)).toContain(`Carries              ${b.name} since`);
    const list = instanceTable(h.views.instances(), undefined);
    expect(list).toContain(`${b.name}: carries the sessions of prod`);
    expect(list).toContain(`${a.name}: stands by for prod`);
  });
});

/** What a person reads of a refusal: the field, its value, what is wrong and what to do. */
function read(h: Harness, command: AdminCommand): string {
  const answer = h.ask(command);
  if (answer.ok) return "it was done";
  const [problem] = (answer.failure as { problems?: readonly Problem[] }).problems ?? [];
  return `${answer.failure.code} ${problem?.field} ${problem?.value}: ${problem?.problem}. ${problem?.fix}`;
}

const update = (change: ConnectorChange): AdminCommand => ({
  command: "connector.update",
  connector: "prod",
  change,
});
const create = (change: Parameters<typeof connectorInput>[0]): AdminCommand => ({
  command: "connector.create",
  connector: connectorInput({ name: "other", groups: [], ...change }),
});

describe("a combination that cannot be is refused, with what to do", () => {
  const group = (mode: "standalone" | "active-standby" | "active-active", instances: number) => {
    const h = new Harness();
    withConnector(h, { mode });
    for (let i = 0; i < instances; i++) new Ec2().enrol(h, otpFor(h).secret);
    return h;
  };

  test.each([
    [
      "active-active outside AWS",
      group("standalone", 0),
      create({ hosting: "azure" }),
      "admin.invalid mode active-active: needs hosting environment aws, where prefixes are routed to instances; this is azure. Give standalone or active-standby, or create the connector with hosting aws.",
    ],
    [
      "a VPC outside AWS",
      group("standalone", 0),
      create({ hosting: "gcp", mode: "standalone", vpc: "vpc-01234567" }),
      "admin.invalid vpc vpc-01234567: only hosting environment aws has VPCs and accounts; this is gcp. Leave it out.",
    ],
    [
      "accounts outside AWS",
      group("standalone", 0),
      create({ hosting: "on-prem", mode: "active-standby", accounts: ["123456789012"] }),
      "admin.invalid accounts 123456789012: only hosting environment aws has VPCs and accounts; this is on-prem. Leave it out.",
    ],
    [
      "active-standby with three instances",
      group("active-active", 3),
      update({ mode: "active-standby" }),
      "admin.conflict mode active-standby: takes 2 instances, and 3 are enrolled. Drain and remove 1 first: connector-controller instance remove NAME.",
    ],
    [
      "standalone with two instances",
      group("active-standby", 2),
      update({ mode: "standalone" }),
      "admin.conflict mode standalone: takes 1 instance, and 2 are enrolled. Drain and remove 1 first: connector-controller instance remove NAME.",
    ],
    [
      "another region than that of the instances",
      group("active-active", 1),
      update({ region: "eu-west-1" }),
      "admin.conflict region eu-west-1: instances are enrolled in us-east-1, and a connector is in one region. Create another connector for the other region.",
    ],
    [
      "another VPC than that of the instances",
      group("active-active", 1),
      update({ vpc: "vpc-01234567" }),
      "admin.conflict vpc vpc-01234567: aws-us-vir-con-00001 is in vpc-0123456789abcdef0, and all instances of a connector are in one VPC. Give vpc-0123456789abcdef0, or remove the instances that are elsewhere first.",
    ],
    [
      "a failover without a standby",
      group("active-active", 2),
      { command: "connector.failover", connector: "prod" },
      "admin.conflict mode active-active: has no standby to fail over to. Move the sessions off one instance with: connector-controller instance drain NAME.",
    ],
    [
      "a failover of one",
      group("active-standby", 1),
      { command: "connector.failover", connector: "prod", to: "aws-us-vir-con-00001" },
      "admin.conflict to aws-us-vir-con-00001: is Online, so it takes no sessions. See what it lacks: connector-controller instance show aws-us-vir-con-00001.",
    ],
    [
      "a failover where none carries",
      group("active-standby", 2),
      { command: "connector.failover", connector: "prod" },
      "admin.conflict to undefined: no instance carries yet, so there is no other one. Name one: --to aws-us-vir-con-00001 or aws-us-vir-con-00002.",
    ],
    [
      "a failover to a stranger",
      group("active-standby", 2),
      { command: "connector.failover", connector: "prod", to: "aws-us-vir-con-00009" },
      "admin.invalid to aws-us-vir-con-00009: is no instance of prod. Give aws-us-vir-con-00001 or aws-us-vir-con-00002.",
    ],
  ] satisfies [string, Harness, AdminCommand, string][])("%s", (_, h, command, text) => {
    expect(read(h, command)).toBe(text);
  });

  test("a failover to one that is drained, or judged gone, or missing", () => {
    const { h, a, b } = pair(2);
    h.do({ command: "instance.drain", instance: b.name });
    const asked: AdminCommand = { command: "connector.failover", connector: "prod" };
    expect(read(h, asked)).toBe(
      `admin.conflict to ${b.name}: is drained by an administrator, so it takes no sessions. End its drain first: connector-controller instance resume ${b.name}.`,
    );
    h.do({ command: "instance.resume", instance: b.name });
    cut(h, b.agent.link);
    expect(read(h, asked)).toContain(`to ${b.name}: is Offline, so it takes no sessions.`);
    h.do({ command: "instance.remove", instance: b.name });
    expect(read(h, asked)).toBe(
      "admin.conflict to undefined: prod has no second instance. Launch one with an OTP: connector-controller otp create prod.",
    );
    expect(carrier(h)?.instance).toBe(a.name);
  });

  test.each([
    ["standalone", 1],
    ["active-standby", 2],
    ["active-active", 64],
  ] as const)("one instance more than %s takes", (mode, max) => {
    const h = group(mode, max);
    const link = new Ec2().enrol(h, otpFor(h).secret);
    expect(h.heard(link, "refused")[0]?.text).toBe(
      `The connector has as many instances as its deployment mode allows (connector prod, mode ${mode}, instances ${max})`,
    );
  });

  test("an instance in another VPC, and one where the connector is not on AWS", () => {
    const h = group("active-active", 1);
    const stranger = new Ec2().enrol(h, otpFor(h).secret, { vpcId: "vpc-0fedcba9876543210" });
    expect(h.heard(stranger, "refused")[0]?.text).toBe(
      "This instance is in another VPC than the rest of its connector (instance vpc-0fedcba9876543210, connector vpc-0123456789abcdef0)",
    );
    h.do(create({ name: "rack", hosting: "on-prem", mode: "standalone" }));
    const rack = new Ec2().enrol(h, otpFor(h, "rack").secret);
    expect(h.heard(rack, "refused")[0]?.text).toBe(
      "The connector's hosting environment is not AWS (hosting on-prem)",
    );
  });
});
