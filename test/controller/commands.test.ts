import { describe, expect, test } from "vitest";
import { AdminCommand } from "../../controller/core/admin.ts";
import type { FailureCode } from "../../protocol/failures.ts";
import type { ResourceSpec } from "../../protocol/specs.ts";
import { Harness } from "./harness.ts";
import { activeInstance, attachedDevice, connectorInput, Ec2, otpFor, withConnector } from "./peers.ts";

const resource = (change: Partial<ResourceSpec> = {}): ResourceSpec => ({
  name: "wiki",
  destination: { cidr: "10.1.0.0/16" },
  protocol: "tcp",
  ports: [{ from: 443, to: 443 }],
  serverInitiated: false,
  groups: ["staff"],
  ...change,
});

const nobody = "00000000-0000-4000-8000-000000000000";
const create = (change: Parameters<typeof connectorInput>[0]): AdminCommand => ({
  command: "connector.create",
  connector: connectorInput({ name: "other", groups: [], ...change }),
});
const update = (change: (AdminCommand & { command: "connector.update" })["change"]): AdminCommand => ({
  command: "connector.update",
  connector: "prod",
  change,
});

/** Against a deployment with connector prod of group staff and one instance, group guests, and nothing else. */
const refusals: readonly (readonly [string, AdminCommand, FailureCode])[] = [
  ["a name that is taken", create({ name: "prod" }), "admin.conflict"],
  ["active-active outside AWS", create({ hosting: "azure" }), "admin.invalid"],
  ["a VPC outside AWS", create({ hosting: "gcp", mode: "standalone", vpc: "vpc-01234567" }), "admin.invalid"],
  ["an unknown group", create({ groups: [{ group: "x", pool: "P", leaseMinutes: 1 }] }), "admin.not-found"],
  [
    "a group that another connector serves",
    create({ groups: [{ group: "staff", pool: "P", leaseMinutes: 1 }] }),
    "admin.conflict",
  ],
  [
    "a group twice",
    create({
      groups: [
        { group: "guests", pool: "P", leaseMinutes: 1 },
        { group: "guests", pool: "Q", leaseMinutes: 1 },
      ],
    }),
    "admin.invalid",
  ],
  [
    "a pool name twice",
    update({
      groups: [
        { group: "staff", pool: "Pool1", leaseMinutes: 1 },
        { group: "guests", pool: "Pool1", leaseMinutes: 1 },
      ],
    }),
    "admin.invalid",
  ],
  [
    "a resource for a group that is not the connector's",
    create({ resources: [resource()] }),
    "admin.invalid",
  ],
  ["a resource twice", update({ resources: [resource(), resource()] }), "admin.invalid"],
  ["a change of what is not there", { ...update({}), connector: "gone" } as AdminCommand, "admin.not-found"],
  ["another region while instances are enrolled", update({ region: "eu-west-1" }), "admin.conflict"],
  ["another VPC than the instances'", update({ vpc: "vpc-01234567" }), "admin.conflict"],
  ["a connector with instances", { command: "connector.remove", connector: "prod" }, "admin.conflict"],
  ["an unknown connector", { command: "connector.remove", connector: "gone" }, "admin.not-found"],
  [
    "an unknown resource",
    { command: "resource.remove", connector: "prod", resource: "x" },
    "admin.not-found",
  ],
  ["a group that exists", { command: "group.create", group: "staff" }, "admin.conflict"],
  ["a group in use", { command: "group.remove", group: "staff" }, "admin.conflict"],
  ["an unknown group to remove", { command: "group.remove", group: "x" }, "admin.not-found"],
  ["an OTP for no connector", { command: "otp.create", connector: "x", lifeMinutes: 1 }, "admin.not-found"],
  ["an unknown OTP", { command: "otp.revoke", otp: nobody }, "admin.not-found"],
  [
    "a code for no group",
    { command: "deviceCode.create", user: "u", group: "x", lifeMinutes: 1 },
    "admin.not-found",
  ],
  ["an unknown code", { command: "deviceCode.revoke", deviceCode: nobody }, "admin.not-found"],
  [
    "an unknown instance's pools",
    { command: "instance.pools.set", instance: "x", pools: {} },
    "admin.not-found",
  ],
  ["an unknown instance to drain", { command: "instance.drain", instance: "x" }, "admin.not-found"],
  ["an unknown instance to resume", { command: "instance.resume", instance: "x" }, "admin.not-found"],
  ["an unknown instance to remove", { command: "instance.remove", instance: "x" }, "admin.not-found"],
  ["an unknown device", { command: "device.remove", device: nobody }, "admin.not-found"],
  ["an unknown session", { command: "session.end", session: nobody }, "admin.not-found"],
  ["an unknown token", { command: "token.revoke", name: "x" }, "admin.not-found"],
];

describe("a command is refused, and nothing changes", () => {
  test.each(refusals)("%s", (_what, command, code) => {
    const h = new Harness();
    withConnector(h);
    h.do({ command: "group.create", group: "guests" });
    new Ec2().enrol(h, otpFor(h).secret);
    const before = JSON.stringify([h.store.saved(), h.store.audit]);
    expect(h.refused(command)).toBe(code);
    expect(JSON.stringify([h.store.saved(), h.store.audit])).toBe(before);
  });

  test("when the store fails, with the store's own code", () => {
    const h = new Harness();
    h.failing = "store.full";
    expect(h.refused({ command: "group.create", group: "staff" })).toBe("store.full");
    expect(h.views.groups()).toEqual([]);
    h.failing = undefined;
    h.do({ command: "group.create", group: "staff" });
  });

  test("when too much waits for the store", () => {
    const h = new Harness({ jobsMax: 3 });
    h.isHolding = true;
    const ids = ["a", "b", "c", "d"].map((group) => h.begin({ command: "group.create", group }));
    expect(h.answers.get(ids[3] ?? 0)).toMatchObject({ failure: { code: "admin.rate-limited" } });
    h.release();
    expect(h.views.groups().map(({ name }) => name)).toEqual(["a", "b", "c"]);
  });
});

describe("the audit log", () => {
  test("tells who changed what, before and after", () => {
    const h = new Harness();
    withConnector(h);
    h.ask(update({ dns: { primary: "10.0.0.3" } }), "token:ci");
    expect(h.store.audit.at(-1)).toMatchObject({
      actor: "token:ci",
      action: "connector.update",
      subject: "connector/prod",
      before: { dns: { primary: "10.0.0.2" } },
      after: { dns: { primary: "10.0.0.3" } },
    });
    expect(h.store.audit.map(({ action }) => action)).toEqual([
      "group.create",
      "connector.create",
      "connector.update",
    ]);
  });

  test("has an entry for every instance and device that came in", () => {
    const h = new Harness();
    withConnector(h);
    const { name } = activeInstance(h);
    const { id } = attachedDevice(h);
    const entries = h.store.audit.map(({ action, subject }) => `${action} ${subject}`);
    expect(entries).toContain(`instance.enrol instance/${name}`);
    expect(entries).toContain(`device.join device/${id}`);
  });
});

describe("what a command changes reaches who it concerns", () => {
  test("a resource: the agent and the devices of its group", () => {
    const h = new Harness();
    withConnector(h);
    const { agent } = activeInstance(h);
    const { device } = attachedDevice(h);
    h.do({ command: "resource.set", connector: "prod", resource: resource() });
    const domain = resource({ name: "app", destination: { domain: "*.example.internal" } });
    h.do({ command: "resource.set", connector: "prod", resource: domain });
    expect(agent.desired.get("resource/wiki")).toEqual(resource());
    expect(device.attachment).toMatchObject({ routes: ["10.1.0.0/16"], domains: ["*.example.internal"] });
    h.do({ command: "resource.remove", connector: "prod", resource: "wiki" });
    expect(agent.desired.has("resource/wiki")).toBe(false);
    expect(device.attachment).toMatchObject({ routes: [] });
  });

  test("device.remove: the link is cut and the instance lets go", () => {
    const h = new Harness();
    withConnector(h);
    const { agent } = activeInstance(h);
    const { id, link } = attachedDevice(h);
    expect(agent.sessions).toBe(1);
    h.do({ command: "device.remove", device: id });
    expect(h.closed.get(link)).toBe("removed");
    expect(agent.sessions).toBe(0);
    expect(h.views.sessions()).toEqual([]);
  });

  test("session.end: a device that still wants to be attached gets a new session", () => {
    const h = new Harness();
    withConnector(h);
    activeInstance(h);
    const { id } = attachedDevice(h);
    const before = h.views.device(id)?.session;
    h.do({ command: "session.end", session: before?.id ?? "" });
    const after = h.views.device(id)?.session;
    expect(after).toMatchObject({ state: "attached" });
    expect(after?.id).not.toBe(before?.id);
  });

  test("instance.remove: its sessions go to another instance under a higher epoch", () => {
    const h = new Harness();
    withConnector(h);
    const gone = activeInstance(h);
    const { id, device } = attachedDevice(h);
    const other = activeInstance(h);
    h.do({ command: "instance.remove", instance: gone.name });
    expect(h.views.device(id)?.session).toMatchObject({ state: "attached", epoch: 2, instance: other.name });
    expect(device.attachment).toMatchObject({ instance: other.name, epoch: 2 });
  });
});

describe("a name", () => {
  test.each([
    ["a sign that is another letter in disguise", "\u212bngström"],
    ["wide letters", "\uff33taff"],
    ["a ligature", "o\ufb03ce"],
    ["a letter and its accent apart", "cafe\u0301"],
    ["letters that nobody sees", "st\u200baff"],
    ["a name of every object", "__proto__"],
  ])("is refused with %s", (_what, group) => {
    expect(AdminCommand.safeParse({ command: "group.create", group }).success).toBe(false);
  });

  test("of any script is taken as it is, also one that objects have fields of", () => {
    const h = new Harness();
    for (const group of ["café", "Ångström", "東京", "constructor", "toString"]) {
      h.do(
        AdminCommand.parse({ command: "group.create", group }) as AdminCommand & { command: "group.create" },
      );
    }
    const groups = ["constructor", "toString"].map((group) => ({ group, pool: group, leaseMinutes: 60 }));
    h.do({ command: "connector.create", connector: connectorInput({ groups }) });
    const ec2 = new Ec2();
    const name = h.heard(ec2.enrol(h, otpFor(h).secret), "enrolled")[0]?.name ?? "";
    expect(h.views.instance(name)?.pools).toMatchObject([{ ipv4: [] }, { ipv4: [] }]);
    expect(h.views.instance(name)?.userGroupAssociations).toEqual([]);
    const pools = { toString: { ipv4: ["10.0.1.16/28"], ipv6: [] } };
    h.do({ command: "instance.pools.set", instance: name, pools });
    expect(h.views.instance(name)?.userGroupAssociations).toEqual([{ group: "toString", pool: "toString" }]);
  });
});

test("resources that are set one by one end where a list of them does: a device's routes fit one message", () => {
  const h = new Harness();
  const cidr = (i: number) => `10.${i >> 8}.${i & 255}.0/24`;
  const resources = Array.from({ length: 1_024 }, (_, i) =>
    resource({ name: `r${i}`, destination: { cidr: cidr(i) } }),
  );
  withConnector(h, { resources });
  const set = (name: string): AdminCommand => ({
    command: "resource.set",
    connector: "prod",
    resource: resource({ name }),
  });
  expect(h.refused(set("one more"))).toBe("admin.invalid");
  expect(h.refused(set("r7")), "replacing one is no more").toBeUndefined();
});
