import { describe, expect, test } from "vitest";
import { SessionSpec } from "../../protocol/specs.ts";
import { FakeDevice } from "./fakes.ts";
import { Harness } from "./harness.ts";
import {
  activeInstance,
  attachedDevice,
  connectorInput,
  helloDevice,
  join,
  withConnector,
  withTwoGroups,
} from "./peers.ts";

describe("a session", () => {
  test("is attached only when the instance has granted it", () => {
    const h = new Harness();
    withConnector(h);
    const { agent, name, ec2, addresses } = activeInstance(h);
    agent.isGranting = false;
    const { device, id } = attachedDevice(h);
    expect(h.views.device(id)?.session).toMatchObject({ state: "placed", epoch: 1, instance: name });
    expect(device.attachment).toBeUndefined();
    agent.isGranting = true;
    agent.become("Active", {}, ec2);
    expect(device.attachment).toMatchObject({
      state: "attached",
      epoch: 1,
      instance: name,
      endpoint: `${ec2.ip}:51820`,
      wireguardKey: ec2.wireguardKey,
      ipv4: addresses[0],
      dns: { primary: "10.0.0.2" },
      mtu: 1420,
    });
    expect(h.views.device(id)?.session).toMatchObject({ state: "attached", ipv4: addresses[0] });
  });

  test("stays where it is when links are lost and come back", () => {
    const h = new Harness();
    withConnector(h);
    const first = activeInstance(h);
    const { id, identityKey, link } = attachedDevice(h);
    const before = h.views.device(id)?.session;
    activeInstance(h);
    h.post({ kind: "disconnected", link });
    h.post({ kind: "disconnected", link: first.agent.link });
    h.pass(60_000);
    expect(h.views.instance(first.name)?.status).toBe("Offline");
    const again = new FakeDevice(h).on(helloDevice(h, identityKey));
    again.wants("attached");
    expect(h.views.device(id)?.session).toEqual(before);
    expect(again.attachment).toMatchObject({ state: "attached", instance: first.name, epoch: 1 });
  });

  test("goes elsewhere under a higher epoch when the instance refuses it", () => {
    const h = new Harness();
    withConnector(h);
    const full = activeInstance(h, 1);
    attachedDevice(h, "first");
    // It still says that an address is free: a stale report.
    full.agent.report({ "pool/Pool1": { total: 16, leased: 1, cooling: 0, quarantined: 0, free: 1 } });
    const { device, id } = attachedDevice(h, "second");
    expect(device.attachment).toEqual({ state: "waiting", code: "placement.no-address" });
    const other = activeInstance(h);
    h.pass(1_000);
    expect(h.views.device(id)?.session).toMatchObject({ state: "attached", instance: other.name });
    expect(h.views.device(id)?.session?.epoch).toBeGreaterThan(1);
    expect(full.agent.sessions).toBe(1);
  });

  test("ends when its device says that it wants none, and its instance lets go", () => {
    const h = new Harness();
    withConnector(h);
    const { agent } = activeInstance(h);
    const { device, id } = attachedDevice(h);
    expect(agent.sessions).toBe(1);
    device.wants("detached");
    expect(agent.sessions).toBe(0);
    expect(h.views.device(id)?.session).toBeNull();
    expect(device.attachment).toBeUndefined();
    device.wants("attached");
    expect(device.attachment).toMatchObject({ state: "attached", epoch: 1 });
  });

  test("is moved when its prefix vanished, and ended when its lease expired without its device", () => {
    const h = new Harness();
    withConnector(h);
    const { agent, name } = activeInstance(h);
    const moved = attachedDevice(h, "moved");
    const away = attachedDevice(h, "away");
    const other = activeInstance(h);
    const sessionOf = (id: string) => h.views.device(id)?.session;
    const say = (id: string, code: string) =>
      agent.report({ [`session/${sessionOf(id)?.id}`]: { outcome: "ended", epoch: 1, code } });
    expect(sessionOf(moved.id)?.instance).toBe(name);
    say(moved.id, "lease.quarantined");
    expect(sessionOf(moved.id)).toMatchObject({ state: "attached", epoch: 2, instance: other.name });
    h.post({ kind: "disconnected", link: away.link });
    say(away.id, "lease.expired");
    expect(sessionOf(away.id)).toBeNull();
  });

  test("of a device that is back when the lease expires is placed anew", () => {
    const h = new Harness();
    withConnector(h);
    const { agent } = activeInstance(h);
    const { id } = attachedDevice(h);
    const session = h.views.device(id)?.session?.id;
    agent.report({ [`session/${session}`]: { outcome: "ended", epoch: 1, code: "lease.expired" } });
    expect(h.views.device(id)?.session).toMatchObject({ id: session, epoch: 2 });
  });

  test("ignores outcomes of other epochs and of instances that do not hold it", () => {
    const h = new Harness();
    withConnector(h);
    activeInstance(h);
    const { id } = attachedDevice(h);
    const stranger = activeInstance(h);
    const before = h.views.device(id)?.session;
    const key = `session/${before?.id}`;
    stranger.agent.report({ [key]: { outcome: "refused", epoch: 1, code: "pool.full" } });
    stranger.agent.report({ [key]: { outcome: "granted", epoch: 1, ipv4: "10.66.66.66" } });
    expect(h.views.device(id)?.session).toEqual(before);
  });

  test("fences a device that holds a higher epoch than a restored database knows", () => {
    const h = new Harness();
    withConnector(h);
    const { name, addresses } = activeInstance(h);
    const { device, id } = attachedDevice(h);
    const session = h.views.device(id)?.session?.id ?? "";
    device.report({ held: { session, epoch: 7, instance: name, ipv4: addresses[0] } });
    expect(h.views.device(id)?.session).toMatchObject({ id: session, state: "attached", epoch: 8 });
  });
});

describe("an epoch that a device claims", () => {
  test("cannot be so high that no number comes after it", () => {
    const h = new Harness();
    withConnector(h);
    const { agent, name } = activeInstance(h);
    const { device, id } = attachedDevice(h);
    const session = h.views.device(id)?.session?.id ?? "";
    for (const epoch of [Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER - 1, 2 ** 52]) {
      device.report({ held: { session, epoch, instance: name } });
      const entry = agent.desired.get(`session/${session}`);
      expect(SessionSpec.safeParse(entry).success, "the instance can read what it is sent").toBe(true);
    }
    expect(h.views.device(id)?.session).toMatchObject({ state: "attached", epoch: 1 });
  });

  test("of another device's session changes nothing for either", () => {
    const h = new Harness();
    withConnector(h);
    const { name } = activeInstance(h);
    const [thief, owner] = [attachedDevice(h, "thief"), attachedDevice(h, "owner")];
    const session = h.views.device(owner.id)?.session?.id ?? "";
    thief.device.report({ held: { session, epoch: 9, instance: name } });
    for (const { id } of [thief, owner]) expect(h.views.device(id)?.session).toMatchObject({ epoch: 1 });
  });
});

describe("a device without a place waits", () => {
  test("with the reason, which changes with the circumstances", () => {
    const h = new Harness();
    h.do({ command: "group.create", group: "staff" });
    const { device, id } = attachedDevice(h);
    expect(device.attachment).toEqual({ state: "waiting", code: "placement.no-connector" });
    h.do({ command: "connector.create", connector: connectorInput() });
    h.pass(200);
    expect(device.attachment).toEqual({ state: "waiting", code: "placement.no-instance" });
    const { agent, ec2 } = activeInstance(h, 0);
    h.pass(200);
    expect(device.attachment).toEqual({ state: "waiting", code: "placement.no-address" });
    agent.become("Active", { Pool1: 1 }, ec2);
    h.pass(200);
    expect(h.views.device(id)?.session).toMatchObject({ state: "attached", epoch: 1 });
  });

  test("as long as it is there: nobody is placed for a device that has gone", () => {
    const h = new Harness();
    withConnector(h);
    const { link, id } = attachedDevice(h);
    expect(h.views.device(id)?.session).toMatchObject({ state: "waiting" });
    h.post({ kind: "disconnected", link });
    expect(h.views.device(id)?.session).toBeNull();
    const { agent } = activeInstance(h);
    h.pass(10_000);
    expect(agent.sessions).toBe(0);
  });

  test("while another group's pool on the same instance still has room", () => {
    const h = new Harness();
    withTwoGroups(h);
    const { agent, ec2, name } = activeInstance(h, 0);
    const pools = {
      Pool1: { ipv4: ["10.77.0.0/28"], ipv6: [] },
      Pool2: { ipv4: ["10.77.0.16/28"], ipv6: [] },
    };
    h.do({ command: "instance.pools.set", instance: name, pools });
    agent.become("Active", { Pool2: 16 }, ec2);
    expect(attachedDevice(h, "ada", "staff").device.attachment).toMatchObject({
      code: "placement.no-address",
    });
    expect(attachedDevice(h, "bob", "guests").device.attachment).toMatchObject({ state: "attached" });
  });

  test("and is not sent to an instance that drains", () => {
    const h = new Harness();
    withConnector(h);
    const { name, agent } = activeInstance(h);
    h.do({ command: "instance.drain", instance: name });
    const { device } = attachedDevice(h);
    expect(device.attachment).toEqual({ state: "waiting", code: "placement.no-instance" });
    h.do({ command: "instance.resume", instance: name });
    h.pass(200);
    expect(agent.sessions).toBe(1);
  });
});

describe("a group", () => {
  test("spreads arrivals evenly, and fills a new instance first", () => {
    const h = new Harness();
    withConnector(h);
    const old = [activeInstance(h), activeInstance(h)];
    for (let i = 0; i < 10; i++) attachedDevice(h, `user${i}`);
    expect(old.map(({ agent }) => agent.sessions)).toEqual([5, 5]);
    const added = activeInstance(h);
    for (let i = 10; i < 15; i++) attachedDevice(h, `user${i}`);
    expect(
      [...old, added].map(({ agent }) => agent.sessions),
      "existing sessions are not touched",
    ).toEqual([5, 5, 5]);
  });

  test("never has more sessions on a pool than addresses, also when all arrive at once", () => {
    const h = new Harness();
    withConnector(h);
    const instances = [activeInstance(h, 3), activeInstance(h, 4)];
    h.isHolding = true;
    const devices = Array.from({ length: 10 }, (_, i) => {
      h.isHolding = false;
      const { secret } = h.do({
        command: "deviceCode.create",
        user: `u${i}`,
        group: "staff",
        lifeMinutes: 1,
      });
      const { link } = join(h, secret);
      return new FakeDevice(h).on(link);
    });
    h.isHolding = true;
    for (const device of devices) device.wants("attached");
    h.release();
    h.pass(1_000);
    expect(instances.map(({ agent }) => agent.sessions)).toEqual([3, 4]);
    const states = devices.map(({ attachment }) => attachment?.state);
    expect(states.filter((state) => state === "attached")).toHaveLength(7);
    expect(states.filter((state) => state === "waiting")).toHaveLength(3);
  });
});
