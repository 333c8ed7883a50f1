import { describe, expect, test } from "vitest";
import { FakeDevice } from "./fakes.ts";
import { cut, group, type Instance, movesOf, on, oneOn, placesOf, says, takes, two } from "./group.ts";
import { Harness } from "./harness.ts";
import { activeInstance, attachedDevice, helloDevice, withConnector } from "./peers.ts";

describe("a lost link", () => {
  test("moves nothing when the agent returns within the grace", () => {
    const { h, all, users } = group(2, 6);
    const [first] = two(all);
    const before = placesOf(h, users);
    cut(h, first.agent.link);
    h.pass(2_900);
    first.agent.on(first.ec2.hello(h));
    first.agent.become("Active", {}, first.ec2);
    h.pass(60_000);
    expect(placesOf(h, users)).toEqual(before);
    expect(movesOf(h)).toEqual([]);
  });

  test("moves nobody whose path works, for as long as it does", () => {
    const { h, all, users } = group(2, 6);
    const [first] = two(all);
    const before = placesOf(h, users);
    cut(h, first.agent.link);
    h.pass(60_000);
    expect(placesOf(h, users)).toEqual(before);
    const victim = oneOn(h, first, users);
    says(victim, "dead");
    h.pass(200);
    expect(h.views.device(victim.id)?.session).toMatchObject({ epoch: 2, state: "attached" });
    expect(on(h, first, users)).toHaveLength(2);
  });

  test("moves those who say nothing after the grace, in one pass with one entry, and tells the instance that returns", () => {
    const { h, all, users } = group(3, 9);
    const [first] = two(all);
    h.pass(5_000);
    for (const user of users) user.device.report({ path: undefined });
    cut(h, first.agent.link);
    h.pass(2_900);
    expect(on(h, first, users)).toHaveLength(3);
    const { commits } = h.store;
    h.pass(200);
    expect(on(h, first, users)).toHaveLength(0);
    expect(all.map(({ name }) => on(h, { name } as Instance, users).length).toSorted()).toEqual([0, 4, 5]);
    expect(movesOf(h)).toMatchObject([
      { subject: `instance/${first.name}`, actor: "controller", before: { sessions: 3 } },
    ]);
    expect(movesOf(h)[0]?.after).toMatchObject({ reason: "link-lost", moved: 3 });
    expect(
      h.store.commits - commits,
      "one to move, one or two for what two instances granted",
    ).toBeLessThanOrEqual(3);
    expect(h.core.metricsFacts().totals.moved).toMatchObject({ "link-lost": 3, drain: 0 });
    first.agent.on(first.ec2.hello(h));
    expect(first.agent.sessions, "it lets go of what it no longer has").toBe(0);
  });

  test("moves nobody whose probe will speak: until it does, it may have a path that works", () => {
    const { h, all, users } = group(2, 6);
    const [first] = two(all);
    const user = oneOn(h, first, users);
    user.device.wants("attached", true);
    for (const { device } of users) device.report({ path: undefined });
    h.pass(5_000);
    cut(h, first.agent.link);
    h.pass(60_000);
    expect(on(h, first, users), "the others' silence will not end").toEqual([user]);
    says(user, "dead");
    expect(on(h, first, users)).toEqual([]);
  });

  test("moves a silent device only when it was heard of late: what it says may not arrive", () => {
    const { h, all, users } = group(2, 6, { heartbeatMs: { agent: 60_000, device: 20_000 } });
    const [first] = two(all);
    const there = on(h, first, users);
    const [mute] = there;
    if (mute === undefined) throw new Error("somebody is there");
    for (const { device } of users) device.report({ path: undefined });
    h.pass(40_000);
    for (const { link } of users) if (link !== mute.link) h.say(link, { type: "ping", id: 1 });
    cut(h, first.agent.link);
    h.pass(10_000);
    expect(on(h, first, users)).toEqual([mute]);
    h.say(mute.link, { type: "ping", id: 2 });
    h.pass(5_500);
    expect(on(h, first, users)).toEqual([]);
  });

  test("and a dead word of a device that cannot be heard any more move nobody", () => {
    const { h, all, users } = group(2, 6, { heartbeatMs: { agent: 60_000, device: 20_000 } });
    const [first, second] = two(all);
    const user = oneOn(h, first, users);
    second.agent.become("Draining", {}, second.ec2);
    h.pass(1_000);
    says(user, "dead");
    h.pass(40_000);
    cut(h, first.agent.link);
    second.agent.become("Active", {}, second.ec2);
    h.pass(5_000);
    expect(on(h, first, [user]), "it may have recovered long ago").toEqual([user]);
    h.say(user.link, { type: "ping", id: 1 });
    h.pass(5_500);
    expect(on(h, first, [user])).toEqual([]);
  });

  test("of a device's instance does not move the device while it is away, and does when it is back and says dead", () => {
    const { h, all, users } = group(2, 2);
    const [first] = two(all);
    const [user] = two(on(h, first, users).concat(users));
    cut(h, user.link);
    cut(h, first.agent.link);
    h.pass(30_000);
    expect(h.views.device(user.id)?.session).toMatchObject({ instance: first.name, epoch: 1 });
    const again = new FakeDevice(h).on(helloDevice(h, user.identityKey));
    again.wants("attached");
    takes({ ...user, device: again }, "dead");
    h.pass(200);
    expect(h.views.device(user.id)?.session).toMatchObject({ state: "attached", epoch: 2 });
  });

  test("and one device that says dead decide at once", () => {
    const { h, all, users } = group(2, 2);
    const [first] = two(all);
    const user = oneOn(h, first, users);
    cut(h, first.agent.link);
    says(user, "dead");
    expect(h.views.device(user.id)?.session).toMatchObject({ state: "attached", epoch: 2 });
    expect(h.views.instance(first.name)?.judgement).toMatchObject({ is: "gone", why: "devices", moved: 1 });
  });
});

describe("devices that say dead", () => {
  test("condemn a living instance: all but those who say alive are moved at once, and nobody is placed there", () => {
    const { h, all, users } = group(2, 8);
    const [first] = two(all);
    const [a, b, c, d] = on(h, first, users);
    if (!a || !b || !c || !d) throw new Error("four are there");
    says(a, "dead");
    expect(h.views.device(a.id)?.session).toMatchObject({ epoch: 1 });
    says(b, "dead");
    expect(on(h, first, users), "half of the witnesses, and the others say alive").toEqual([c, d]);
    const late = attachedDevice(h, "late");
    expect(h.views.device(late.id)?.session?.instance).not.toBe(first.name);
    h.pass(29_000);
    expect(h.views.instance(first.name)?.judgement?.is).toBe("gone");
    h.pass(1_500);
    expect(h.views.instance(first.name)?.judgement?.is).toBe("serving");
    const next = attachedDevice(h, "next");
    expect(h.views.device(next.id)?.session?.instance).toBe(first.name);
  });

  test("condemn every instance: nobody is moved, and who comes is let try rather than turned away", () => {
    const { h, all, users } = group(2, 8);
    const before = placesOf(h, users);
    for (const user of users) says(user, "dead");
    expect(h.views.instances().map(({ judgement }) => judgement.is)).toEqual(["gone", "gone"]);
    const late = attachedDevice(h, "late");
    expect(h.views.device(late.id)?.session).toMatchObject({ state: "attached", epoch: 1 });
    const moved = placesOf(h, users).filter((place, i) => place !== before[i]);
    expect(moved.length, "those of the second had nowhere to go").toBeLessThanOrEqual(4);
    for (const user of users) takes(user, "alive");
    takes(late, "alive");
    const { commits } = h.store;
    h.pass(60_000);
    expect(h.store.commits, "nothing goes to and fro").toBe(commits);
    expect(h.views.instances().map(({ judgement }) => judgement.is)).toEqual(["serving", "serving"]);
    expect(on(h, two(all)[0], [...users, late]).length).toBeGreaterThan(0);
  });

  test("hold an instance down for twice as long the second time", () => {
    const { h, all, users } = group(2, 4);
    const [first] = two(all);
    for (const user of on(h, first, users)) says(user, "dead");
    h.pass(31_000);
    const more = [attachedDevice(h, "x"), attachedDevice(h, "y")];
    expect(on(h, first, more)).toHaveLength(2);
    for (const user of more) takes(user, "alive");
    for (const user of more) says(user, "dead");
    expect(on(h, first, more)).toHaveLength(0);
    h.pass(59_000);
    expect(h.views.instance(first.name)?.judgement?.is).toBe("gone");
    h.pass(1_500);
    expect(h.views.instance(first.name)?.judgement?.is).toBe("serving");
  });

  test("alone among others that are well are moved alone, after a grace, and wait longer the next time", () => {
    const { h, all, users } = group(2, 6);
    const [first] = two(all);
    const user = oneOn(h, first, users);
    const epochOf = () => h.views.device(user.id)?.session?.epoch;
    says(user, "dead");
    h.pass(800);
    expect(epochOf()).toBe(1);
    h.pass(400);
    expect(epochOf()).toBe(2);
    expect(on(h, first, users)).toHaveLength(2);
    expect(movesOf(h)[0]?.after).toMatchObject({ reason: "path-dead", moved: 1 });
    says(user, "dead");
    h.pass(25_000);
    expect(epochOf(), "it waits").toBe(2);
    h.pass(5_500);
    expect(epochOf()).toBe(3);
    says(user, "dead");
    h.pass(55_000);
    expect(epochOf()).toBe(3);
    h.pass(6_000);
    expect(epochOf()).toBe(4);
  });

  test("and cannot be heard when their time has come are moved when they are heard again", () => {
    const { h, all, users } = group(2, 6, { heartbeatMs: { agent: 60_000, device: 20_000 } });
    const user = oneOn(h, two(all)[0], users);
    const epochOf = () => h.views.device(user.id)?.session?.epoch;
    says(user, "dead");
    h.pass(1_200);
    says(user, "dead");
    h.pass(25_000);
    h.say(user.link, { type: "ping", id: 1 });
    h.pass(5_500);
    expect(epochOf()).toBe(3);
    says(user, "dead");
    h.pass(70_000);
    expect(epochOf(), "its time came, and nothing was heard of it").toBe(3);
    h.say(user.link, { type: "ping", id: 2 });
    h.pass(5_500);
    expect(epochOf()).toBe(4);
  });

  test("and recover within the grace stay", () => {
    const { h, all, users } = group(2, 6);
    const user = oneOn(h, two(all)[0], users);
    says(user, "dead");
    h.pass(500);
    says(user, "alive");
    h.pass(60_000);
    expect(h.views.device(user.id)?.session?.epoch).toBe(1);
  });

  test("about a place they have left, or another instance, count for nobody", () => {
    const { h, all, users } = group(2, 6);
    const [first, second] = two(all);
    for (const { id, device } of on(h, first, users)) {
      const session = h.views.device(id)?.session;
      const path = { session: session?.id, epoch: 1, instance: second.name, verdict: "dead", sinceMs: 1 };
      device.report({ path });
    }
    h.pass(200);
    expect(h.views.instance(first.name)?.judgement?.is).toBe("serving");
    expect(h.views.instance(second.name)?.judgement?.is).toBe("serving");
  });
});

describe("goodbye", () => {
  test("moves everybody at once, also those who say alive and those who are away", () => {
    const { h, all, users } = group(2, 6);
    const [first] = two(all);
    const away = oneOn(h, first, users);
    cut(h, away.link);
    h.say(first.agent.link, { type: "goodbye", reason: "shutdown" });
    expect(on(h, first, users)).toHaveLength(0);
    expect(movesOf(h)[0]?.after).toMatchObject({ reason: "goodbye", moved: 3 });
    expect(first.agent.sessions, "it still hears that it has none").toBe(0);
  });

  test("of one that comes back means nothing more", () => {
    const { h, all } = group(2, 2);
    const [first] = two(all);
    h.say(first.agent.link, { type: "goodbye", reason: "shutdown" });
    cut(h, first.agent.link);
    first.agent.on(first.ec2.hello(h));
    first.agent.become("Active", {}, first.ec2);
    h.pass(200);
    const late = attachedDevice(h, "late");
    expect(h.views.device(late.id)?.session?.instance).toBe(first.name);
  });
});

describe("a drain", () => {
  test("makes before it breaks: the old instance serves on until the device holds the new place", () => {
    const { h, all, users } = group(2, 6);
    const [first, second] = two(all);
    const moving = on(h, first, users);
    second.agent.isGranting = false;
    h.do({ command: "instance.drain", instance: first.name });
    expect(first.agent.sessions, "told as before").toBe(3);
    for (const { device } of moving) {
      expect(device.attachment).toMatchObject({ instance: first.name, epoch: 1 });
    }
    expect(h.views.instance(first.name)).toMatchObject({
      sessions: 0,
      judgement: { is: "leaving", leaving: 3 },
    });
    second.agent.isGranting = true;
    second.agent.become("Active", {}, second.ec2);
    expect(first.agent.sessions).toBe(3);
    for (const user of moving) {
      expect(user.device.attachment).toMatchObject({ instance: second.name, epoch: 2 });
      takes(user, "alive");
    }
    expect(first.agent.sessions).toBe(0);
    expect(h.views.instance(first.name)?.judgement).toMatchObject({ is: "leaving", leaving: 0, moved: 3 });
    expect(h.views.sessions().every(({ leaving }) => leaving === null)).toBe(true);
  });

  test("by the instance itself is the same", () => {
    const { h, all, users } = group(2, 4);
    const [first, second] = two(all);
    first.agent.become("Draining", {}, first.ec2);
    for (const user of users) takes(user, "alive");
    expect(on(h, second, users)).toHaveLength(4);
    expect(first.agent.sessions).toBe(0);
    expect(movesOf(h)[0]?.after).toMatchObject({ reason: "drain", moved: 2 });
  });

  test("ends for a device that does not come over when the deadline passes, also over a restart", () => {
    const { h, all, users } = group(2, 2);
    const [first, second] = two(all);
    h.do({ command: "instance.drain", instance: first.name });
    expect(on(h, second, users)).toHaveLength(2);
    h.pass(29_000);
    expect(first.agent.sessions).toBe(1);
    h.pass(1_500);
    expect(first.agent.sessions).toBe(0);
    const other = group(2, 2);
    const [old, next] = two(other.all);
    other.h.do({ command: "instance.drain", instance: old.name });
    other.h.restart();
    next.agent.on(next.ec2.hello(other.h));
    next.agent.become("Active", {}, next.ec2);
    other.h.pass(34_000);
    const left = () => other.h.store.saved().session.filter(({ leaving }) => leaving !== null);
    expect(left(), "who was not there yet to be told").toHaveLength(1);
    other.h.pass(1_500);
    expect(left()).toEqual([]);
  });

  test("leaves who finds no place where it is, visible, and goes on when an address frees", () => {
    const { h, all, users } = group(2, 4, {}, 3);
    const [first, second] = two(all);
    h.do({ command: "instance.drain", instance: first.name });
    for (const user of users) takes(user, "alive");
    expect(on(h, second, users)).toHaveLength(3);
    expect(first.agent.sessions).toBe(1);
    expect(h.views.instance(first.name)?.judgement).toMatchObject({ is: "leaving", moved: 1, waiting: 1 });
    const [leaver] = on(h, second, users);
    leaver?.device.wants("detached");
    second.agent.become("Active", { Pool1: 1 }, second.ec2);
    h.pass(200);
    for (const user of users) if (user !== leaver) takes(user, "alive");
    expect(first.agent.sessions).toBe(0);
  });

  test("that the new instance refuses looks for another, and the old one serves on", () => {
    const { h, first, user } = drainedToNowhere();
    expect(h.views.device(user.id)?.session).toMatchObject({
      state: "waiting",
      leaving: { instance: first.name },
    });
    expect(user.device.attachment).toMatchObject({ state: "attached", instance: first.name, epoch: 1 });
    const third = activeInstance(h);
    h.pass(200);
    expect(user.device.attachment).toMatchObject({ instance: third.name });
    expect(first.agent.sessions).toBe(1);
    takes(user, "alive");
    expect(first.agent.sessions).toBe(0);
  });

  test("that is taken back brings a session that found nothing back to where it is", () => {
    const { h, first, user } = drainedToNowhere();
    h.do({ command: "instance.resume", instance: first.name });
    h.pass(200);
    const session = h.views.device(user.id)?.session;
    expect(session).toMatchObject({ state: "attached", instance: first.name, leaving: null });
    expect(session?.epoch).toBeGreaterThan(1);
  });

  test("that is taken back brings it back to its own address also where there is no free one", () => {
    const { h, all, users } = group(2, 2);
    const [first, second] = two(all);
    const user = oneOn(h, first, users);
    const says = ({ agent }: Instance, free: number) =>
      agent.report({ "pool/Pool1": { total: 16, leased: 16 - free, cooling: 0, quarantined: 0, free } });
    // What the other offers is gone when it is asked for.
    second.agent.offer({ Pool1: 0 });
    says(second, 1);
    h.do({ command: "instance.drain", instance: first.name });
    h.pass(200);
    says(second, 0);
    says(first, 0);
    expect(h.views.device(user.id)?.session).toMatchObject({ state: "waiting" });
    h.pass(10_000);
    expect(h.views.device(user.id)?.session, "while it is drained").toMatchObject({ state: "waiting" });
    h.do({ command: "instance.resume", instance: first.name });
    h.pass(10_000);
    const session = h.views.device(user.id)?.session;
    expect(session).toMatchObject({ state: "attached", instance: first.name, leaving: null });
  });

  test("that is taken back brings it back also when its instance is Active only later", () => {
    const { h, all, users } = group(2, 2);
    const [first, second] = two(all);
    const user = oneOn(h, first, users);
    const { agent, ec2 } = first;
    second.agent.offer({ Pool1: 0 });
    h.do({ command: "instance.drain", instance: first.name });
    h.pass(200);
    agent.become("Online", { Pool1: 0 }, ec2);
    h.do({ command: "instance.resume", instance: first.name });
    h.pass(10_000);
    expect(h.views.device(user.id)?.session).toMatchObject({ state: "waiting" });
    agent.become("Active", { Pool1: 0 }, ec2);
    h.pass(200);
    const session = h.views.device(user.id)?.session;
    expect(session).toMatchObject({ state: "attached", instance: first.name, leaving: null });
  });

  test("of an instance that then says goodbye ends what it still served", () => {
    const { h, all, users } = group(2, 2);
    const [first] = two(all);
    h.do({ command: "instance.drain", instance: first.name });
    h.say(first.agent.link, { type: "goodbye", reason: "shutdown" });
    expect(h.store.saved().session.map(({ leaving }) => leaving)).toEqual([null, null]);
    expect(h.views.sessions().map(({ state }) => state)).toEqual(["attached", "attached"]);
    expect(users).toHaveLength(2);
  });

  test("whose instance is removed, or loses the range, lets go", () => {
    for (const command of [
      (name: string) => ({ command: "instance.remove", instance: name }) as const,
      (name: string) => ({ command: "instance.pools.set", instance: name, pools: {} }) as const,
    ]) {
      const { h, all } = group(2, 2);
      const [first] = two(all);
      h.do({ command: "instance.drain", instance: first.name });
      expect(h.views.sessions().filter(({ leaving }) => leaving !== null)).toHaveLength(1);
      h.do(command(first.name));
      expect(h.views.sessions().filter(({ leaving }) => leaving !== null)).toEqual([]);
    }
  });
});

describe("what is left", () => {
  test("has the deadline of its own move, not of an earlier one", () => {
    const { h, all, users } = group(3, 3);
    const [first] = two(all);
    const user = oneOn(h, first, users);
    h.do({ command: "instance.drain", instance: first.name });
    const second = all.find(({ name }) => name === h.views.device(user.id)?.session?.instance);
    if (second === undefined) throw new Error("it went somewhere");
    h.pass(20_000);
    h.do({ command: "instance.drain", instance: second.name });
    expect(h.views.device(user.id)?.session, "one after the other").toMatchObject({
      instance: second.name,
      leaving: { instance: first.name },
    });
    h.pass(10_500);
    const session = h.views.device(user.id)?.session;
    expect(session).toMatchObject({ epoch: 3, leaving: { instance: second.name, epoch: 2 } });
    h.pass(29_000);
    expect(h.views.device(user.id)?.session?.leaving).toMatchObject({ instance: second.name });
    h.pass(1_500);
    expect(h.views.device(user.id)?.session?.leaving).toBeNull();
  });

  test("is kept though its agent is lost, and is let go of when its instance ends it", () => {
    const { h, all, users } = group(2, 2);
    const [first] = two(all);
    const user = oneOn(h, first, users);
    const { id } = h.views.device(user.id)?.session ?? { id: "" };
    h.do({ command: "instance.drain", instance: first.name });
    cut(h, first.agent.link);
    h.pass(5_000);
    expect(h.views.session(id)?.leaving).toMatchObject({ instance: first.name });
    first.agent.on(first.ec2.hello(h));
    expect(first.agent.sessions).toBe(1);
    first.agent.report({ [`session/${id}`]: { outcome: "ended", epoch: 1, code: "lease.quarantined" } });
    expect(h.views.session(id)).toMatchObject({ state: "attached", leaving: null });
  });

  test("goes with the session, when its device logs out", () => {
    const { h, all, users } = group(2, 2);
    const [first] = two(all);
    const [user] = on(h, first, users);
    h.do({ command: "instance.drain", instance: first.name });
    expect(first.agent.sessions).toBe(1);
    user?.device.wants("detached");
    expect(all.map(({ agent }) => agent.sessions)).toEqual([0, 1]);
    expect(h.core.metricsFacts().sessions).toMatchObject({ attached: 1, leaving: 0 });
  });
});

describe("when a pass cannot be stored", () => {
  test("nobody is told; it is made again, once, and nothing spins meanwhile", () => {
    const { h, all, users } = group(2, 6);
    const [first] = two(all);
    const moving = on(h, first, users);
    h.failing = "store.full";
    h.say(first.agent.link, { type: "goodbye", reason: "shutdown" });
    h.pass(5_000);
    expect(on(h, first, users)).toEqual(moving);
    expect(movesOf(h)).toEqual([]);
    h.failing = undefined;
    h.pass(2_000);
    expect(on(h, first, users)).toEqual([]);
    expect(movesOf(h)).toHaveLength(1);
    expect(h.core.metricsFacts().totals.moved.goodbye).toBe(3);
  });

  test("a hanging store keeps no deadline in the past", () => {
    const { h, all, users } = group(2, 6);
    const user = oneOn(h, two(all)[0], users);
    says(user, "dead");
    h.isHolding = true;
    h.pass(500);
    h.begin({ command: "group.create", group: "later" });
    h.pass(60_000);
    const next = h.core.nextDeadline();
    if (next !== undefined) expect(next).toBeGreaterThan(h.monotonicMs);
    h.release();
    h.pass(1_000);
    expect(h.views.device(user.id)?.session?.epoch).toBe(2);
  });
});

describe("an instance that is long gone", () => {
  test("holds up nobody when the last one's agent restarts", () => {
    const { h, all, users } = group(2, 4);
    const [first, second] = two(all);
    const stays = on(h, first, users);
    for (const { link } of stays) cut(h, link);
    cut(h, first.agent.link);
    // Longer than any silence takes to be noticed.
    for (let id = 0; id < 4; id++) {
      h.pass(300_000);
      h.say(second.agent.link, { type: "ping", id });
    }
    cut(h, second.agent.link);
    h.pass(500);
    second.agent.on(second.ec2.hello(h));
    second.agent.become("Active", {}, second.ec2);
    const late = attachedDevice(h, "late");
    expect(late.device.attachment).toMatchObject({ state: "attached", instance: second.name });
    expect(h.views.instance(first.name)?.judgement.is).toBe("gone");
  });
});

describe("an instance in active-standby", () => {
  test("that is lost leaves everything to the other, which keeps it when the first is back", () => {
    const h = new Harness({ heartbeatMs: { agent: 60_000, device: 60_000 } });
    withConnector(h, { mode: "active-standby" });
    const [first, second] = [activeInstance(h), activeInstance(h)];
    const users = Array.from({ length: 4 }, (_, i) => attachedDevice(h, `u${i}`));
    expect([first.agent.sessions, second.agent.sessions]).toEqual([4, 0]);
    for (const user of users) takes(user, "alive");
    h.say(first.agent.link, { type: "goodbye", reason: "shutdown" });
    cut(h, first.agent.link);
    expect(second.agent.sessions).toBe(4);
    first.agent.on(first.ec2.hello(h));
    first.agent.become("Active", {}, first.ec2);
    attachedDevice(h, "late");
    h.pass(1_000);
    expect([first.agent.sessions, second.agent.sessions]).toEqual([0, 5]);
  });
});

describe("a full group", () => {
  test("leaves sessions where they are rather than nowhere, and moves them when an address frees", () => {
    const { h, all, users } = group(2, 6, {}, 3);
    const [first, second] = two(all);
    const lost = on(h, first, users);
    cut(h, first.agent.link);
    for (const user of lost) says(user, "dead");
    h.pass(10_000);
    expect(placesOf(h, lost)).toEqual(Array(3).fill(`${first.name} 1`));
    expect(h.views.instance(first.name)?.judgement).toMatchObject({ is: "gone", moved: 0, waiting: 3 });
    second.agent.become("Active", { Pool1: 2 }, second.ec2);
    h.pass(200);
    expect(on(h, second, users)).toHaveLength(5);
    expect(h.views.instance(first.name)?.judgement).toMatchObject({ moved: 2, waiting: 1 });
  });
});

describe("after a restart of the controller", () => {
  test("nobody is judged before all had time to return, and one that is late has longer", () => {
    const { h, all, users } = group(2, 4);
    const [first, second] = two(all);
    const before = placesOf(h, users);
    h.restart();
    second.agent.on(second.ec2.hello(h));
    second.agent.become("Active", {}, second.ec2);
    const back = users.map((user) => {
      const device = new FakeDevice(h).on(helloDevice(h, user.identityKey));
      device.wants("attached");
      return { ...user, device };
    });
    h.pass(30_000);
    expect(placesOf(h, users)).toEqual(before);
    h.pass(10_000);
    expect(on(h, first, back), "they say nothing, and their instance is not there").toHaveLength(0);
  });

  test("who has a working path is not moved, however long the instance stays away", () => {
    const { h, all, users } = group(2, 4);
    const [, second] = two(all);
    const before = placesOf(h, users);
    h.restart();
    second.agent.on(second.ec2.hello(h));
    second.agent.become("Active", {}, second.ec2);
    for (const user of users) {
      const device = new FakeDevice(h).on(helloDevice(h, user.identityKey));
      device.wants("attached");
      takes({ ...user, device }, "alive");
    }
    h.pass(50_000);
    expect(placesOf(h, users)).toEqual(before);
  });

  test("and when the controller alone was cut off, the first instance to return does not get everybody", () => {
    const { h, all, users } = group(3, 9);
    const before = placesOf(h, users);
    h.pass(10_000);
    for (const { agent } of all) cut(h, agent.link);
    for (const { link } of users) cut(h, link);
    h.pass(20_000);
    expect(h.views.instances().map(({ judgement }) => judgement.is)).toEqual(Array(3).fill("gone"));
    const [first] = two(all);
    first.agent.on(first.ec2.hello(h));
    first.agent.become("Active", {}, first.ec2);
    for (const user of users) new FakeDevice(h).on(helloDevice(h, user.identityKey)).wants("attached");
    h.pass(10_000);
    for (const one of all.slice(1)) {
      one.agent.on(one.ec2.hello(h));
      one.agent.become("Active", {}, one.ec2);
    }
    h.pass(30_000);
    expect(placesOf(h, users)).toEqual(before);
  });
});

/** A user of an instance that is drained while the only other one has no address. */
function drainedToNowhere() {
  const { h, all, users } = group(2, 2);
  const [first, second] = two(all);
  const user = oneOn(h, first, users);
  second.agent.offer({ Pool1: 0 });
  h.do({ command: "instance.drain", instance: first.name });
  return { h, first, user };
}
