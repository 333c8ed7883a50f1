import { describe, expect, test } from "vitest";
import { Harness } from "./harness.ts";
import { activeInstance, attachedDevice, withConnector, withTwoGroups } from "./peers.ts";

describe("an address that an instance grants is not believed when it", () => {
  const wrong = {
    "is in none of its pools": () => ({ ipv4: "10.66.66.66" }),
    "is in its IPv4 pool and another beside it is not": (own: string) => ({ ipv4: own, ipv6: "2001:db8::1" }),
    "is none at all": () => ({}),
    "is another session's": (_own: string, others: string) => ({ ipv4: others }),
  } as const;

  test.each(Object.entries(wrong))(
    "%s: no device is told, and the session goes elsewhere",
    (_what, grant) => {
      const h = new Harness();
      withConnector(h);
      const bad = activeInstance(h);
      const first = attachedDevice(h, "first");
      const before = first.device.attachment;
      const good = activeInstance(h);
      attachedDevice(h, "evens out");
      bad.agent.grantsWrongly = () => grant(bad.addresses[1] ?? "", bad.addresses[0] ?? "");
      const told: unknown[] = [];
      const others = Array.from({ length: 4 }, (_, i) => attachedDevice(h, `u${i}`));
      for (const { device, id } of others) {
        told.push(device.attachment);
        expect(h.views.device(id)?.session).toMatchObject({ state: "attached", instance: good.name });
      }
      expect(told).toMatchObject(others.map(() => ({ instance: good.name })));
      expect(first.device.attachment, "who was there before keeps its address").toEqual(before);
      expect(h.told).toContainEqual(
        expect.objectContaining({ level: "warn", text: "instance granted a wrong address" }),
      );
      expect(h.core.metricsFacts().totals.refused["lease.foreign"]).toBeGreaterThan(0);
    },
  );

  test("is of another pool of the same instance", () => {
    const h = new Harness();
    withTwoGroups(h);
    const { agent, ec2, name } = activeInstance(h);
    const pools = {
      Pool1: { ipv4: ["10.77.0.0/28"], ipv6: [] },
      Pool2: { ipv4: ["10.77.0.16/28"], ipv6: [] },
    };
    h.do({ command: "instance.pools.set", instance: name, pools });
    agent.become("Active", { Pool1: 16, Pool2: 16 }, ec2);
    agent.grantsWrongly = () => ({ ipv4: "10.77.0.3" });
    expect(attachedDevice(h, "bob", "guests").device.attachment).toMatchObject({ state: "waiting" });
    expect(attachedDevice(h, "ada", "staff").device.attachment).toMatchObject({ ipv4: "10.77.0.3" });
  });

  test("is granted to two sessions in one breath: one of them has it", () => {
    const h = new Harness();
    withConnector(h);
    const { agent, ec2, addresses } = activeInstance(h);
    agent.isGranting = false;
    const devices = [attachedDevice(h, "ada"), attachedDevice(h, "bob")];
    agent.isGranting = true;
    agent.grantsWrongly = () => ({ ipv4: addresses[5] ?? "" });
    agent.become("Active", {}, ec2);
    expect(devices.map(({ device }) => device.attachment)).toMatchObject([
      { state: "attached", ipv4: addresses[5] },
      { state: "waiting" },
    ]);
  });

  test("is written in another way than addresses are, so that one cannot pass for two", () => {
    const h = new Harness();
    withConnector(h);
    const { agent, ec2, name } = activeInstance(h);
    const pools = { Pool1: { ipv4: [], ipv6: ["2001:db8:0:1::/80"] } };
    h.do({ command: "instance.pools.set", instance: name, pools });
    const grants = ["2001:db8:0:1::5", "2001:db8:0:1:0::5", "2001:DB8:0:1::6", "2001:db8:0:1::7"];
    agent.grantsWrongly = () => ({ ipv6: grants.shift() ?? "" });
    agent.become("Active", { Pool1: 16 }, ec2);
    agent.isGranting = false;
    const devices = ["ada", "bob", "eve", "joe"].map((user) => attachedDevice(h, user));
    for (const { id } of devices) {
      const session = h.views.device(id)?.session;
      agent.report({ [`session/${session?.id}`]: { outcome: "granted", epoch: 1, ipv6: grants.shift() } });
    }
    expect(devices.map(({ id }) => h.views.device(id)?.session?.ipv6 ?? null)).toEqual([
      "2001:db8:0:1::5",
      null,
      null,
      "2001:db8:0:1::7",
    ]);
  });
});

describe("an instance that grants wrongly", () => {
  test("is not asked again for the session at once, and is after a while", () => {
    const h = new Harness();
    withConnector(h);
    const { agent, ec2, addresses } = activeInstance(h);
    agent.grantsWrongly = () => ({ ipv4: "10.66.66.66" });
    const { device, id } = attachedDevice(h);
    expect(device.attachment).toEqual({ state: "waiting", code: "placement.no-address" });
    const wait = (seconds: number) => {
      for (let i = 0; i < seconds; i++) {
        agent.become("Active", {}, ec2);
        h.say(device.link, { type: "ping", id: i });
        h.pass(1_000);
      }
    };
    wait(30);
    expect(h.views.device(id)?.session?.epoch, "no loop of placements").toBe(2);
    agent.grantsWrongly = undefined;
    wait(40);
    expect(device.attachment).toMatchObject({ state: "attached", ipv4: addresses[0] });
  });

  test("takes nothing from a session that lets go of the address in the same breath", () => {
    const h = new Harness();
    withConnector(h);
    const { agent, ec2, addresses } = activeInstance(h);
    const first = attachedDevice(h, "first");
    first.device.wants("detached");
    const second = attachedDevice(h, "second");
    agent.become("Active", {}, ec2);
    expect(second.device.attachment).toMatchObject({ state: "attached", ipv4: addresses[0] });
  });
});

describe("when an administrator takes a range away", () => {
  test("the sessions in it leave at once, also when the instance is away; the others stay", () => {
    const h = new Harness();
    withConnector(h);
    const old = activeInstance(h);
    const other = activeInstance(h);
    const [moved, stays] = [attachedDevice(h, "moved"), attachedDevice(h, "stays")];
    const instances = [moved, stays].map(({ id }) => h.views.device(id)?.session?.instance);
    expect(instances.toSorted()).toEqual([old.name, other.name].toSorted());
    const [from, to] = instances[0] === old.name ? [old, other] : [other, old];
    h.post({ kind: "disconnected", link: from.agent.link });
    const range = from.view.pools[0]?.ipv4 ?? [];
    h.do({ command: "instance.pools.set", instance: from.name, pools: {} });
    expect(h.views.device(moved.id)?.session).toMatchObject({ epoch: 2, instance: to.name });
    expect(h.views.device(stays.id)?.session).toMatchObject({ epoch: 1, instance: to.name });
    const own = to.view.pools[0]?.ipv4 ?? [];
    h.do({
      command: "instance.pools.set",
      instance: to.name,
      pools: { Pool1: { ipv4: [...own, ...range], ipv6: [] } },
    });
    expect(h.views.device(stays.id)?.session, "a range more moves nobody").toMatchObject({ epoch: 1 });
  });
});
