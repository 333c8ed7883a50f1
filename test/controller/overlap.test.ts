import { describe, expect, test } from "vitest";
import { FakeDevice } from "./fakes.ts";
import { cut, group, oneOn, takes, two } from "./group.ts";
import { helloDevice } from "./peers.ts";

/** Two instances; a device of the first, which is drained. */
function draining(settings: Parameters<typeof group>[2] = {}) {
  const { h, all, users } = group(2, 2, settings);
  const [first, second] = two(all);
  const user = oneOn(h, first, users);
  const { id } = h.views.device(user.id)?.session ?? { id: "" };
  return { h, first, second, user, session: id };
}

describe("while a session has two places", () => {
  test("the old one serves on past the deadline when the new one turns out to be dead", () => {
    const { h, first, second, session } = draining();
    h.do({ command: "instance.drain", instance: first.name });
    expect(h.views.session(session)).toMatchObject({ state: "attached", instance: second.name });
    cut(h, second.agent.link);
    h.pass(60_000);
    expect(h.views.instance(second.name)?.judgement.is).toBe("gone");
    expect(first.agent.sessions, "the only path that works").toBe(1);
    second.agent.on(second.ec2.hello(h));
    second.agent.become("Active", {}, second.ec2);
    h.pass(31_000);
    expect(first.agent.sessions).toBe(0);
  });

  test("a controller that was away past the deadline gives the device time to hear of the new one", () => {
    const { h, first, second, user, session } = draining();
    h.do({ command: "instance.drain", instance: first.name });
    h.monotonicMs += 60_000;
    h.restart();
    for (const one of [first, second]) {
      one.agent.on(one.ec2.hello(h));
      one.agent.become("Active", {}, one.ec2);
    }
    h.pass(10_000);
    expect(first.agent.sessions, "the device is not back yet").toBe(1);
    const device = new FakeDevice(h).on(helloDevice(h, user.identityKey));
    device.wants("attached");
    expect(device.attachment).toMatchObject({ instance: second.name });
    takes({ ...user, device }, "alive");
    expect(first.agent.sessions).toBe(0);
    expect(h.views.session(session)?.leaving).toBeNull();
  });

  test("an end that the old instance tells while the move is being stored counts", () => {
    const { h, first, session } = draining();
    h.isHolding = true;
    h.begin({ command: "instance.drain", instance: first.name });
    // The command, then the pass.
    const step = () => {
      const [effect] = h.held.splice(0, 1);
      if (effect === undefined) throw new Error("nothing to store");
      h.store.commit(effect.plan);
      h.post({ kind: "stored", effectId: effect.effectId });
    };
    step();
    expect(h.held, "the pass").toHaveLength(1);
    first.agent.report({ [`session/${session}`]: { outcome: "ended", epoch: 1, code: "lease.quarantined" } });
    h.release();
    expect(h.views.session(session)).toMatchObject({ leaving: null });
  });

  test("a device that has left the old one for a place that ended does not keep it", () => {
    const { h, first, second, user, session } = draining();
    h.do({ command: "instance.drain", instance: first.name });
    second.agent.offer({ Pool1: 0 });
    second.agent.report({
      [`session/${session}`]: { outcome: "ended", epoch: 2, code: "lease.quarantined" },
    });
    expect(h.views.session(session)).toMatchObject({ state: "waiting", leaving: { epoch: 1 } });
    user.device.report({ held: { session, epoch: 2, instance: second.name } });
    expect(h.views.session(session)).toMatchObject({ state: "waiting", leaving: null });
    expect(user.device.attachment).toMatchObject({ state: "waiting" });
  });
});

test.each(["before", "after"])(
  "a drain reaches those who are well at an instance whose agent was lost %s it",
  (when) => {
    const { h, first, second, user, session } = draining();
    second.agent.become("Active", { Pool1: 0 }, second.ec2);
    if (when === "after") first.agent.become("Draining", {}, first.ec2);
    cut(h, first.agent.link);
    h.pass(10_000);
    if (when === "before") h.do({ command: "instance.drain", instance: first.name });
    expect(h.views.session(session), "there is no other place").toMatchObject({
      epoch: 1,
      instance: first.name,
    });
    second.agent.become("Active", { Pool1: 4 }, second.ec2);
    h.pass(10_000);
    expect(h.views.session(session)).toMatchObject({
      instance: second.name,
      leaving: { instance: first.name },
    });
    takes(user, "alive");
    expect(h.views.session(session)?.leaving).toBeNull();
  },
);

describe("what an instance says", () => {
  test("last counts: granted again before the end was decided", () => {
    const { h, first, session } = draining();
    h.isHolding = true;
    h.begin({ command: "group.create", group: "x" });
    const granted = first.agent.observed.get(`session/${session}`);
    first.agent.report({ [`session/${session}`]: { outcome: "ended", epoch: 1, code: "lease.quarantined" } });
    first.agent.report({ [`session/${session}`]: granted });
    h.release();
    expect(h.views.session(session)).toMatchObject({ state: "attached", epoch: 1 });
  });

  test("of a higher epoch than is stored: the database is older, and the session gets a higher one", () => {
    const { h, first, session } = draining();
    first.agent.isGranting = false;
    const grant = first.agent.granted.get(session);
    first.agent.report({ [`session/${session}`]: { outcome: "granted", ...grant, epoch: 7 } });
    expect(h.views.session(session)).toMatchObject({ epoch: 8, instance: first.name });
  });
});
