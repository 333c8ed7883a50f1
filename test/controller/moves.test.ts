import { describe, expect, test } from "vitest";
import { Harness } from "./harness.ts";
import { activeInstance, attachedDevice, withConnector } from "./peers.ts";

type Instance = ReturnType<typeof activeInstance>;
type Device = ReturnType<typeof attachedDevice>;

/** One device on the first of two instances. */
function group(free = 16) {
  const h = new Harness({ heartbeatMs: { agent: 60_000, device: 60_000 }, silentHeartbeats: 10 });
  withConnector(h);
  const first = activeInstance(h);
  const user = attachedDevice(h);
  const second = activeInstance(h, free);
  return { h, first, second, user };
}

const session = (h: Harness, { id }: Device) => h.views.device(id)?.session;
const moves = (h: Harness) =>
  h.store.audit
    .filter(({ action }) => action === "sessions.move")
    .map(({ subject, after }) => [subject, after]);
const says = (h: Harness, user: Device, verdict: "alive" | "dead") => {
  const { id, epoch = 0, instance = "" } = session(h, user) ?? {};
  const path = { session: id, epoch, instance, verdict, sinceMs: 1 };
  user.device.report({ held: { session: id, epoch, instance }, path });
};

describe("every way to move has an audit entry with its reason", () => {
  test.each<[string, (group: { h: Harness; first: Instance; user: Device }) => void, object]>([
    [
      "a drain",
      ({ h, first }) => h.do({ command: "instance.drain", instance: first.name }),
      { reason: "drain" },
    ],
    [
      "the instance's own drain",
      ({ first }) => first.agent.become("Draining", {}, first.ec2),
      { reason: "drain" },
    ],
    [
      "a goodbye",
      ({ h, first }) => h.say(first.agent.link, { type: "goodbye", reason: "shutdown" }),
      { reason: "goodbye" },
    ],
    [
      "a lost link",
      ({ h, first }) => {
        h.pass(5_000);
        h.post({ kind: "disconnected", link: first.agent.link });
        h.pass(4_000);
      },
      { reason: "link-lost" },
    ],
    [
      "a lost link and a device that says dead",
      ({ h, first, user }) => {
        h.post({ kind: "disconnected", link: first.agent.link });
        says(h, user, "dead");
      },
      { reason: "devices" },
    ],
    [
      "a device alone with a dead path",
      ({ h, user }) => {
        says(h, user, "dead");
        h.pass(2_000);
      },
      { reason: "path-dead" },
    ],
    [
      "a lease that its instance ends",
      ({ h, first, user }) => {
        const { id, epoch } = session(h, user) ?? {};
        first.agent.report({ [`session/${id}`]: { outcome: "ended", epoch, code: "lease.quarantined" } });
      },
      { reason: "ended", code: "lease.quarantined" },
    ],
    [
      "a range that is taken away",
      ({ h, first }) => h.do({ command: "instance.pools.set", instance: first.name, pools: {} }),
      { reason: "range" },
    ],
    [
      "an instance that is removed",
      ({ h, first }) => h.do({ command: "instance.remove", instance: first.name }),
      { reason: "removed" },
    ],
  ])("%s", (_, happens, reason) => {
    const all = group();
    const { h, first, second, user } = all;
    const id = h.store.saved().instance.find(({ name }) => name === first.name)?.id;
    happens(all);
    h.pass(200);
    expect(session(h, user)).toMatchObject({ instance: second.name, state: "attached" });
    // An instance that was removed has no name any more: the entry of its removal has both.
    const from = h.views.instance(first.name) === undefined ? id : first.name;
    expect(moves(h)).toEqual([[`instance/${from}`, { ...reason, moved: 1, to: { [second.name]: 1 } }]]);
    const { moved } = h.core.metricsFacts().totals;
    expect(moved).toMatchObject({ [(reason as { reason: string }).reason]: 1 });
    expect(Object.values(moved).reduce((sum, count) => sum + count, 0)).toBe(1);
  });

  test("a device that a newer database had sent elsewhere", () => {
    const { h, first, second, user } = group();
    const { id } = session(h, user) ?? {};
    user.device.report({ held: { session: id, epoch: 7, instance: second.name } });
    expect(session(h, user)).toMatchObject({ instance: first.name, epoch: 8 });
    expect(moves(h)).toEqual([
      [`instance/${second.name}`, { reason: "claimed", moved: 1, to: { [first.name]: 1 } }],
    ]);
  });

  test("who has nowhere to go is entered when it loses its place, and when it gets another, over a restart", () => {
    const { h, first, second, user } = group(0);
    const { id, epoch } = session(h, user) ?? {};
    first.agent.offer({ Pool1: 0 });
    first.agent.report({ [`session/${id}`]: { outcome: "ended", epoch, code: "lease.quarantined" } });
    first.agent.become("Active", { Pool1: 0 }, first.ec2);
    h.pass(200);
    expect(session(h, user)).toMatchObject({ state: "waiting" });
    const lost = { reason: "ended", code: "lease.quarantined" };
    expect(moves(h)).toEqual([[`instance/${first.name}`, { ...lost, moved: 0, waiting: 1, to: {} }]]);
    expect(h.core.metricsFacts().totals.moved.ended).toBe(0);
    expect(h.store.saved().session[0]?.lost).toMatchObject(lost);
    second.agent.become("Active", { Pool1: 1 }, second.ec2);
    h.pass(200);
    expect(moves(h).at(-1)).toEqual([
      `instance/${first.name}`,
      { ...lost, moved: 1, to: { [second.name]: 1 } },
    ]);
    expect(h.store.saved().session[0]?.lost).toBeUndefined();
  });

  test("a new place that refuses is left for the next, with what it said", () => {
    const { h, first, second, user } = group();
    const third = activeInstance(h);
    // The first that is asked has less than it says.
    second.agent.offer({ Pool1: 0 });
    third.agent.offer({ Pool1: 0 });
    h.do({ command: "instance.drain", instance: first.name });
    h.pass(200);
    expect(moves(h).map(([, after]) => after)).toMatchObject([
      { reason: "drain", moved: 1 },
      { reason: "refused", code: "pool.full", moved: 1 },
      { reason: "refused", code: "pool.full", moved: 0, waiting: 1 },
    ]);
    expect(session(h, user)?.leaving, "it is served where it was").toMatchObject({ instance: first.name });
  });

  test("a first placement is no move, nor is a second try of one", () => {
    const h = new Harness();
    withConnector(h);
    const [first, second] = [activeInstance(h), activeInstance(h)];
    first.agent.offer({ Pool1: 0 });
    const user = attachedDevice(h);
    const other = attachedDevice(h, "other");
    expect([session(h, user), session(h, other)].map((one) => one?.instance)).toEqual([
      second.name,
      second.name,
    ]);
    expect(moves(h)).toEqual([]);
  });
});
