import { describe, expect, test } from "vitest";
import { Harness } from "./harness.ts";
import { activeInstance, attachedDevice, FakeDevice, helloDevice, withConnector } from "./peers.ts";

describe("a session", () => {
  test("is attached only when the instance has granted it", () => {
    const h = new Harness();
    withConnector(h);
    const { agent, name, ec2 } = activeInstance(h);
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
      ipv4: "10.9.0.1",
      dns: { primary: "10.0.0.2" },
      mtu: 1420,
    });
    expect(h.views.device(id)?.session).toMatchObject({ state: "attached", ipv4: "10.9.0.1" });
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
});
