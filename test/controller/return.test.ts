import { describe, expect, test } from "vitest";
import { FakeDevice } from "./fakes.ts";
import { Harness } from "./harness.ts";
import { activeInstance, attachedDevice, helloDevice, withConnector } from "./peers.ts";

type Device = ReturnType<typeof attachedDevice>;
type Instance = ReturnType<typeof activeInstance>;

/** Three sessions on one instance, and two instances that came later and have none. */
function group() {
  const h = new Harness({ heartbeatMs: { agent: 60_000, device: 60_000 }, silentHeartbeats: 10 });
  withConnector(h);
  const home = activeInstance(h);
  const user = attachedDevice(h, "u0");
  for (let i = 1; i < 3; i++) attachedDevice(h, `u${i}`);
  const instances = [home, activeInstance(h), activeInstance(h)] as const;
  return { h, instances, user, home };
}

const place = (h: Harness, { id }: Device) => h.views.device(id)?.session;

/** The device logs out, and its instance says that the address rests for it. */
function leaves(h: Harness, user: Device, { agent }: Instance): void {
  const ipv4 = place(h, user)?.ipv4;
  user.device.wants("detached");
  agent.report({ [`lease/${user.id}/Pool1`]: { state: "cooling", ipv4, untilMs: 1 } });
}

describe("a device that comes back", () => {
  test("over a new link has everything as it was", () => {
    const { h, user } = group();
    const before = place(h, user);
    h.onMessage.delete(user.link);
    h.post({ kind: "disconnected", link: user.link });
    h.pass(60_000);
    const again = new FakeDevice(h).on(helloDevice(h, user.identityKey));
    again.wants("attached");
    expect(place(h, user)).toEqual(before);
    expect(again.attachment).toMatchObject({ state: "attached", epoch: 1 });
  });

  test("after a logout gets the instance where its address rests, though others have less load", () => {
    const { h, user, home } = group();
    leaves(h, user, home);
    expect(h.views.instances().map(({ sessions }) => sessions)).toEqual([2, 0, 0]);
    user.device.wants("attached");
    expect(place(h, user)).toMatchObject({ instance: home.name, state: "attached" });
  });

  test("also when that is the last one there: nobody else may have it", () => {
    const { h, user, home } = group();
    leaves(h, user, home);
    home.agent.become("Active", { Pool1: 0 }, home.ec2);
    // What rests is free for this device alone, which only its agent knows.
    home.agent.offer({ Pool1: 1 });
    user.device.wants("attached");
    expect(place(h, user)).toMatchObject({ instance: home.name, state: "attached" });
  });

  test("after a restart of the controller, too: the instance says what rests", () => {
    const { h, instances, user, home } = group();
    leaves(h, user, home);
    h.restart();
    for (const { agent, ec2 } of instances) {
      agent.on(ec2.hello(h));
      agent.become("Active", {}, ec2);
    }
    new FakeDevice(h).on(helloDevice(h, user.identityKey)).wants("attached");
    expect(place(h, user)?.instance).toBe(home.name);
  });

  test("after a move gets where it was last, of two that keep an address for it", () => {
    const { h, instances, user, home } = group();
    const [, second, third] = instances;
    const cooling = { [`lease/${user.id}/Pool1`]: { state: "cooling", untilMs: 1 } };
    user.device.wants("detached");
    home.agent.report(cooling);
    third.agent.report(cooling);
    second.agent.report(cooling);
    user.device.wants("attached");
    expect(place(h, user)?.instance).toBe(second.name);
  });

  test.each<[string, (h: Harness, home: Instance, lease: string) => void]>([
    ["address rests no more", (_, { agent }, lease) => agent.report({ [lease]: undefined })],
    [
      "address lost its prefix",
      (_, { agent }, lease) => agent.report({ [lease]: { state: "quarantined", untilMs: 1 } }),
    ],
    ["instance is drained", (h, { name }) => h.do({ command: "instance.drain", instance: name })],
    ["instance is away", (h, { agent }) => h.post({ kind: "disconnected", link: agent.link })],
    ["instance is removed", (h, { name }) => h.do({ command: "instance.remove", instance: name })],
    ["instance is not Active", (_, { agent, ec2 }) => agent.become("Online", {}, ec2)],
  ])("goes where the load is least when its %s", (_, happens) => {
    const { h, user, home } = group();
    leaves(h, user, home);
    happens(h, home, `lease/${user.id}/Pool1`);
    user.device.wants("attached");
    expect(place(h, user)).toMatchObject({ state: "attached" });
    expect(place(h, user)?.instance).not.toBe(home.name);
  });

  test("and is refused there goes elsewhere", () => {
    const { h, user, home } = group();
    leaves(h, user, home);
    home.agent.become("Active", { Pool1: 0 }, home.ec2);
    user.device.wants("attached");
    expect(place(h, user)).toMatchObject({ state: "attached", epoch: 2 });
    expect(place(h, user)?.instance).not.toBe(home.name);
  });

  test("because an administrator ended its session is placed anew", () => {
    const { h, user, home } = group();
    h.do({ command: "session.end", session: place(h, user)?.id ?? "" });
    expect(place(h, user)).toMatchObject({ state: "attached" });
    expect(place(h, user)?.instance).not.toBe(home.name);
  });
});
