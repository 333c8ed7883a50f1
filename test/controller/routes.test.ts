import { describe, expect, test } from "vitest";
import { AdminCommand } from "../../controller/core/admin.ts";
import type { ResourceSpec } from "../../protocol/specs.ts";
import type { Attachment } from "../../protocol/state.ts";
import { FakeAgent, FakeDevice } from "./fakes.ts";
import { Harness } from "./harness.ts";
import { activeInstance, attachedDevice, helloDevice, withConnector } from "./peers.ts";

const vpcCidrs = ["10.20.0.0/16", "2001:db8:20::/56"];

const byDomain = service("wiki", { domain: "wiki.example.internal" });
const byCidr = service("files", { cidr: "10.1.0.0/16" });

function service(name: string, destination: ResourceSpec["destination"], group = "staff"): ResourceSpec {
  return { name, destination, protocol: "tcp", ports: [], serverInitiated: false, groups: [group] };
}

/** What an agent says of its interface. */
function said(cidrs?: readonly string[]) {
  return { prefixes: { ipv4: [], ipv6: [], readAtMs: 1, ...(cidrs && { vpcCidrs: cidrs }) } };
}

function routes({ attachment }: { attachment: Attachment | undefined }): readonly string[] | undefined {
  return attachment?.state === "attached" ? attachment.routes : undefined;
}

/** A connector of these services, an instance in the VPC, and a device that is attached to it. */
function world(resources: ResourceSpec[], networks: string[] = []) {
  const h = new Harness();
  withConnector(h, { resources, networks });
  const instance = activeInstance(h);
  instance.agent.report(said(vpcCidrs));
  return { h, instance, ...attachedDevice(h) };
}

describe("a device routes", () => {
  test.each([
    ["what is named by CIDR, and no network for it", [byCidr], [], ["10.1.0.0/16"]],
    ["the VPC where a service is named by domain", [byDomain], [], vpcCidrs],
    [
      "both, and the connector's networks",
      [byCidr, byDomain],
      ["10.30.0.0/16", "10.20.0.0/16"],
      ["10.1.0.0/16", ...vpcCidrs, "10.30.0.0/16"],
    ],
    ["no network for what is named by CIDR", [byCidr], ["10.30.0.0/16"], ["10.1.0.0/16"]],
    ["nothing where there is no service", [], ["10.30.0.0/16"], []],
  ])("%s", (_what, resources, networks, expected) => {
    expect(routes(world(resources, networks).device)).toEqual(expected);
  });

  test("nothing for the services of another group", () => {
    const h = new Harness();
    for (const group of ["staff", "guests"]) h.do({ command: "group.create", group });
    const groups = ["staff", "guests"].map((group, i) => ({ group, pool: `Pool${i + 1}`, leaseMinutes: 60 }));
    const resources = [service("wiki", { domain: "wiki.example.internal" }, "guests"), byCidr];
    h.do({
      command: "connector.create",
      connector: {
        ...{ name: "prod", hosting: "aws", mode: "active-active", region: "us-east-1", vpc: null },
        ...{ dns: { primary: "10.0.0.2" }, groups, resources, networks: [], accounts: [] },
        ...{ ipv6PoolMatch: "exact", userIpManagement: "static-ip-pool" },
      },
    });
    const { agent } = activeInstance(h);
    agent.report(said(vpcCidrs));
    expect(routes(attachedDevice(h).device)).toEqual(["10.1.0.0/16"]);
  });

  test("another VPC as soon as its instance says so, and nobody else is told", () => {
    const { h, instance, device } = world([byDomain]);
    const other = activeInstance(h);
    other.agent.report(said(vpcCidrs));
    const bystander = attachedDevice(h, "bob");
    const told = h.sent.get(bystander.link)?.length;
    instance.agent.report(said(["10.20.0.0/16", "10.21.0.0/16"]));
    expect(routes(device)).toEqual(["10.20.0.0/16", "10.21.0.0/16"]);
    expect(bystander.device.attachment).toMatchObject({ instance: other.name, routes: vpcCidrs });
    expect(h.sent.get(bystander.link)).toHaveLength(told ?? 0);
  });

  test("the same list as all the others: nothing is worked out for each", () => {
    const { h, device } = world([byDomain]);
    const second = attachedDevice(h, "bob").device;
    expect(routes(second)).toEqual(vpcCidrs);
    expect(routes(second)).toBe(routes(device));
  });

  test("other networks when an administrator says so", () => {
    const { h, device } = world([byDomain]);
    h.do({ command: "connector.update", connector: "prod", change: { networks: ["10.30.0.0/16"] } });
    expect(routes(device)).toEqual([...vpcCidrs, "10.30.0.0/16"]);
    expect(h.views.connector("prod")?.networks).toEqual(["10.30.0.0/16"]);
    h.do({ command: "connector.update", connector: "prod", change: { networks: [] } });
    expect(routes(device)).toEqual(vpcCidrs);
  });
});

describe("what an instance says of its VPC", () => {
  test("stays when it can no longer say, and over a restart of the controller before it is back", () => {
    const { h, instance, device, identityKey } = world([byDomain]);
    instance.agent.report(said());
    expect(routes(device)).toEqual(vpcCidrs);
    h.restart();
    const again = new FakeDevice(h).on(helloDevice(h, identityKey));
    again.wants("attached");
    expect(routes(again)).toEqual(vpcCidrs);
    const agent = new FakeAgent(h).offer({ Pool1: 15 });
    for (const [id, grant] of instance.agent.granted) {
      agent.granted.set(id, grant);
      agent.observed.set(`session/${id}`, { outcome: "granted", ...grant });
    }
    agent.on(instance.ec2.hello(h)).become("Active", {}, instance.ec2);
    agent.report(said());
    h.pass(60_000);
    expect(routes(again)).toEqual(vpcCidrs);
    expect(h.views.instance(instance.name)).toMatchObject({ vpcCidrs });
  });

  test.each([
    ["everything", ["0.0.0.0/0", "::/0"]],
    ["more than a VPC can be", ["10.0.0.0/8", "2000::/16"]],
    ["less than one", ["10.20.30.40/32", "2001:db8::/64"]],
    ["nothing", []],
  ])("counts for nothing when it is %s", (_what, cidrs) => {
    const { instance, device } = world([byDomain]);
    instance.agent.report(said(cidrs));
    expect(routes(device)).toEqual(vpcCidrs);
  });

  test("leaves out what no VPC can have", () => {
    const { instance, device } = world([byDomain]);
    instance.agent.report(said(["10.40.0.0/16", "0.0.0.0/0", "10.40.0.0/16"]));
    expect(routes(device)).toEqual(["10.40.0.0/16"]);
  });

  test.each(["10.20.0.1/16", "10.20.0.0", "2001:DB8::/56", "anything"])(
    "cuts its link when it is %s",
    (cidr) => {
      const { h, instance, device } = world([byDomain]);
      const { link } = instance.agent;
      instance.agent.report(said([cidr]));
      expect(h.closed.get(link)).toBe("malformed");
      expect(routes(device)).toEqual(vpcCidrs);
    },
  );
});

test.each(["10.30.0.1/16", "10.30.0.0", "fe80::%eth0/64"])("a connector's network is no %s", (network) => {
  const change = { networks: [network] };
  expect(AdminCommand.safeParse({ command: "connector.update", connector: "prod", change }).success).toBe(
    false,
  );
});
