import { describe, expect, test } from "vitest";
import { FakeAgent, FakeDevice } from "./fakes.ts";
import { Harness } from "./harness.ts";
import { activeInstance, attachedDevice, helloDevice, withConnector } from "./peers.ts";

/** What a device is told, with the agent and the device back on their links. */
function back(h: Harness, instance: ReturnType<typeof activeInstance>): FakeAgent {
  const agent = new FakeAgent(h);
  for (const [id, grant] of instance.agent.granted) {
    agent.granted.set(id, grant);
    agent.observed.set(`session/${id}`, { outcome: "granted", ...grant });
  }
  agent.offer({ Pool1: 16 - agent.granted.size }).on(instance.ec2.hello(h));
  agent.become("Active", {}, instance.ec2);
  return agent;
}

describe("after a restart of the controller", () => {
  test("a device is told its attachment before its instance is back, and nothing moves when it is", () => {
    const h = new Harness();
    withConnector(h);
    const instance = activeInstance(h);
    const { id, identityKey, device } = attachedDevice(h);
    const before = device.attachment;
    const { commits } = h.store;
    h.restart();
    expect(h.views.instances()).toMatchObject([{ status: "Offline", sessions: 1 }]);
    const again = new FakeDevice(h).on(helloDevice(h, identityKey));
    again.wants("attached");
    expect(again.attachment).toEqual({ ...before });
    const agent = back(h, instance);
    h.pass(60_000);
    expect(agent.sessions).toBe(1);
    expect(h.views.device(id)?.session).toMatchObject({
      state: "attached",
      epoch: 1,
      ipv4: instance.addresses[0],
    });
    expect(h.store.commits, "only the device's new WireGuard key was stored").toBe(commits + 1);
  });

  test("nobody is placed before all instances had time to return: the first would get everybody", () => {
    const h = new Harness({ settleMs: 3_000 });
    withConnector(h);
    const [first, second] = [activeInstance(h), activeInstance(h)];
    const keys = Array.from({ length: 6 }, (_, i) => attachedDevice(h, `u${i}`));
    for (const { device } of keys) device.wants("detached");
    h.restart();
    if (first === undefined || second === undefined) throw new Error("two instances");
    first.agent.granted.clear();
    second.agent.granted.clear();
    const one = back(h, first);
    const devices = keys.map(({ identityKey }) => new FakeDevice(h).on(helloDevice(h, identityKey)));
    for (const device of devices) device.wants("attached");
    h.pass(1_000);
    expect(one.sessions).toBe(0);
    const two = back(h, second);
    h.pass(200);
    expect([one.sessions, two.sessions]).toEqual([3, 3]);
  });

  test("one that does not return holds up nobody for longer than the time to settle", () => {
    const h = new Harness({ settleMs: 3_000 });
    withConnector(h);
    const instance = activeInstance(h);
    activeInstance(h);
    const { identityKey, device } = attachedDevice(h);
    device.wants("detached");
    h.restart();
    instance.agent.granted.clear();
    const agent = back(h, instance);
    const again = new FakeDevice(h).on(helloDevice(h, identityKey));
    again.wants("attached");
    expect(agent.sessions).toBe(0);
    h.pass(3_000);
    expect(agent.sessions).toBe(1);
  });
});

describe("before the group had time to return", () => {
  test("a session that its instance ended waits with the others, under its next epoch", () => {
    const h = new Harness({ settleMs: 3_000 });
    withConnector(h);
    const [first, second, third] = [activeInstance(h), activeInstance(h), activeInstance(h)];
    const devices = Array.from({ length: 6 }, (_, i) => attachedDevice(h, `u${i}`));
    h.restart();
    for (const { identityKey } of devices)
      new FakeDevice(h).on(helloDevice(h, identityKey)).wants("attached");
    const [one, two] = [back(h, first), back(h, second)];
    one.isGranting = false;
    const end = { outcome: "ended", epoch: 1, code: "lease.quarantined" };
    one.report(Object.fromEntries([...one.granted.keys()].map((id) => [`session/${id}`, end])));
    const states = h.views.sessions().map(({ state, epoch }) => `${state} ${epoch}`);
    expect(states.toSorted()).toEqual([...Array(4).fill("attached 1"), "waiting 2", "waiting 2"]);
    const three = back(h, third);
    one.granted.clear();
    one.isGranting = true;
    one.become("Active", {}, first.ec2);
    h.pass(200);
    expect([one, two, three].map(({ sessions }) => sessions)).toEqual([2, 2, 2]);
  });

  test("a device that is removed while it waits leaves nothing behind", () => {
    const h = new Harness({ settleMs: 3_000 });
    withConnector(h);
    activeInstance(h);
    const { id, identityKey, device } = attachedDevice(h);
    device.wants("detached");
    h.restart();
    const again = new FakeDevice(h).on(helloDevice(h, identityKey));
    again.wants("attached");
    h.do({ command: "device.remove", device: id });
    h.pass(60_000);
    expect(h.core.nextDeadline(), "nobody is looked at any more").toBeUndefined();
  });
});

describe("when the controller dies between storing a placement and telling it", () => {
  /** A device that was to be attached, with what the pipeline held when the controller died. */
  function dying() {
    const h = new Harness();
    withConnector(h);
    const instance = activeInstance(h);
    const { device, identityKey, id } = attachedDevice(h);
    device.wants("detached");
    h.isHolding = true;
    device.wants("attached");
    expect(instance.agent.sessions, "nothing is told before it is stored").toBe(0);
    return { h, instance, identityKey, id, plan: h.held[0]?.plan };
  }

  /** All come back; what the instance has then, and how the device's session is. */
  function comesBack({ h, instance, identityKey, id }: Omit<ReturnType<typeof dying>, "plan">) {
    h.isHolding = false;
    h.restart();
    const agent = back(h, instance);
    new FakeDevice(h).on(helloDevice(h, identityKey)).wants("attached");
    return { sessions: agent.sessions, session: h.views.device(id)?.session };
  }

  test("the instance is told after the restart, under the same epoch, and grants once", () => {
    const world = dying();
    if (world.plan === undefined) throw new Error("nothing was to be stored");
    world.h.store.commit(world.plan);
    expect(comesBack(world)).toMatchObject({ sessions: 1, session: { state: "attached", epoch: 1 } });
  });

  test("before storing it, it is decided again", () => {
    expect(comesBack(dying())).toMatchObject({ sessions: 1, session: { state: "attached" } });
  });
});

describe("when sessions cannot be stored", () => {
  test("nothing is told; it is tried again, and what instances said meanwhile is not lost", () => {
    const h = new Harness({ retryStoreMs: 1_000 });
    withConnector(h);
    const { agent, ec2, addresses } = activeInstance(h);
    agent.isGranting = false;
    const { device, id } = attachedDevice(h);
    h.failing = "store.full";
    agent.isGranting = true;
    agent.become("Active", {}, ec2);
    expect(agent.sessions).toBe(1);
    expect(h.views.device(id)?.session, "the grant is not stored").toMatchObject({ state: "placed" });
    expect(device.attachment).toBeUndefined();
    h.pass(5_000);
    expect(device.attachment).toBeUndefined();
    expect(h.core.metricsFacts().totals.storeFailures).toBeGreaterThan(1);
    h.failing = undefined;
    h.pass(1_000);
    expect(device.attachment).toMatchObject({ state: "attached", ipv4: addresses[0] });
  });
});
