import fc from "fast-check";
import { expect, test } from "vitest";
import { savedIsLost } from "../../device/core/saved.ts";
import { Secret } from "../../protocol/secret.ts";
import { attached, Bench, member } from "./fixture.ts";

const code = () => new Secret("join-code-0123456789");
const did = (bench: Bench, what: string) => bench.done.filter((effect) => effect.do === what).length;
const told = (bench: Bench) => bench.done.flatMap((effect) => (effect.do === "tell" ? [effect.event] : []));
const provedAs = (bench: Bench) =>
  bench.done.flatMap((effect) => (effect.do === "prove" ? [effect.with.as] : []));

function joined(): Bench {
  const bench = new Bench({ code: code() });
  bench.challenges();
  bench.joins();
  bench.welcomes();
  return bench;
}

test("joins with its code, saves who it is, and only then gives the code away", () => {
  const bench = new Bench({ code: code() });
  bench.challenges();
  expect(provedAs(bench)).toEqual(["guest"]);
  bench.joins();
  expect(bench.saved.standing).toEqual(member.standing);
  expect(did(bench, "removeCode")).toBe(0);
  bench.welcomes();
  expect(did(bench, "removeCode")).toBe(1);
});

test("keeps the code while the disk refuses its membership, and joins with the same key again", () => {
  const bench = new Bench({ code: code() });
  bench.isDiskFine = false;
  bench.challenges();
  bench.joins();
  bench.welcomes();
  expect(did(bench, "removeCode")).toBe(0);
  expect(told(bench)).toContainEqual({ is: "unsaved", why: "store.full" });
  bench.isDiskFine = true;
  bench.wants(attached(1));
  expect(did(bench, "removeCode")).toBe(1);
});

test("a controller that lost its `joined` on the way makes a member by its welcome", () => {
  const bench = new Bench({ code: code() });
  bench.challenges();
  bench.welcomes();
  expect(bench.saved.standing).toEqual({ is: "member" });
  expect(did(bench, "removeCode")).toBe(1);
});

test("without membership and code it waits for a code, and joins when there is one", () => {
  const bench = new Bench();
  expect(told(bench)).toEqual([{ is: "stopped", why: "code.missing" }]);
  expect(did(bench, "dial")).toBe(0);
  bench.give({ kind: "code", code: code() });
  bench.challenges();
  expect(provedAs(bench)).toEqual(["guest"]);
});

for (const why of ["code.unknown", "code.used", "code.expired"] as const) {
  test(`${why}: stops, says so, tries no other time until the code changes`, () => {
    const bench = new Bench({ code: code() });
    bench.challenges();
    bench.refuses(why);
    expect(told(bench)).toContainEqual({ is: "stopped", why });
    expect(bench.saved.refusal?.code).toBe(why);
    bench.give({ kind: "code", code: code() });
    expect(did(bench, "dial")).toBe(1);
    bench.give({ kind: "code", code: new Secret("another-code-0123456789") });
    expect(did(bench, "dial")).toBe(2);
    bench.challenges();
    bench.joins();
    bench.welcomes();
    expect(bench.saved.refusal).toBeUndefined();
  });
}

test("reports what it is, and the attachment it holds once it is told", () => {
  const bench = joined();
  expect(bench.observed()).toEqual(
    new Map([
      [
        "device",
        { wants: "attached", hostOs: "Debian GNU/Linux 13 (trixie)", version: "0.1.0", probes: true },
      ],
    ]),
  );
  bench.wants(attached(1));
  const { session, epoch, instance, ipv4 } = attached(1);
  expect(bench.observed().get("held")).toEqual({ session, epoch, instance, ipv4 });
  expect(bench.saved.hold).toMatchObject({ is: "attached", to: attached(1) });
});

test("keeps its attachment across a lost link and says it on the next one, before it is told anything", () => {
  const bench = joined();
  bench.wants(attached(2));
  bench.closes(1006);
  expect(bench.device.linkState.kind).toBe("waiting");
  bench.wait();
  bench.links();
  expect(bench.device.hold).toMatchObject({ is: "attached", to: { epoch: 2 } });
  expect(bench.observed().get("held")).toMatchObject({ epoch: 2 });
});

test("keeps its attachment across its own restart, with no controller in reach", () => {
  const before = joined();
  before.wants(attached(2));
  const bench = new Bench({ saved: before.saved });
  expect(bench.device.hold).toMatchObject({ is: "attached", to: { epoch: 2 } });
  bench.challenges();
  expect(provedAs(bench)).toEqual(["device"]);
});

test("a snapshot that names no attachment leaves the held one", () => {
  const bench = joined();
  bench.wants(attached(2));
  bench.closes(1001);
  bench.wait();
  bench.links();
  bench.says({ type: "state", from: 0, to: 1, part: 0, last: true, set: [], remove: [] });
  expect(bench.device.hold.is).toBe("attached");
});

test("reports what the probe says of the path that carries, and takes it back when another carries", () => {
  const bench = joined();
  bench.wants(attached(1));
  expect(bench.observed().has("path")).toBe(false);
  bench.give({ kind: "carries", path: attached(1) });
  expect(bench.observed().has("path")).toBe(false);
  const sinceMs = 1_700_000_000_000 + bench.nowMs;
  bench.give({ kind: "verdict", path: attached(1), verdict: "alive" });
  const { session, instance } = attached(1);
  expect(bench.observed().get("path")).toEqual({ session, epoch: 1, instance, verdict: "alive", sinceMs });
  // It moves: what carries is still the old path.
  bench.wants(attached(2));
  bench.give({ kind: "verdict", path: attached(1), verdict: "dead" });
  expect(bench.observed().get("path")).toMatchObject({ epoch: 1, verdict: "dead" });
  bench.give({ kind: "carries", path: attached(2) });
  expect(bench.observed().has("path")).toBe(false);
});

test("holds the old place for the controller until the new one carries", () => {
  const bench = joined();
  const held = () => bench.observed().get("held");
  bench.wants(attached(1));
  // Nothing carries yet: what was taken is all there is to say.
  expect(held()).toMatchObject({ epoch: 1 });
  bench.give({ kind: "carries", path: attached(1) });
  const second = attached(2, { instance: "aws-us-east-1-con-00002", ipv4: "172.18.128.33" });
  bench.wants(second);
  expect(bench.saved.hold).toMatchObject({ to: { epoch: 2 } });
  const { session, instance, ipv4 } = attached(1);
  expect(held()).toEqual({ session, epoch: 1, instance, ipv4 });
  // Also to a controller that was away meanwhile.
  bench.closes(1006);
  bench.wait();
  bench.links();
  expect(held()).toMatchObject({ epoch: 1 });
  bench.give({ kind: "carries", path: second });
  expect(held()).toEqual({ session, epoch: 2, instance: second.instance, ipv4: second.ipv4 });
  // Other addresses at the same place are those of the place.
  bench.wants({ ...second, ipv4: "172.18.128.34" });
  expect(held()).toMatchObject({ epoch: 2, ipv4: "172.18.128.34" });
  bench.wants({ state: "waiting", code: "placement.no-instance" });
  expect(held()).toBeUndefined();
});

test("without a tunnel a place is held when it is taken", () => {
  const bench = joined();
  bench.wants(attached(1));
  bench.wants(attached(2));
  expect(bench.observed().get("held")).toMatchObject({ epoch: 2 });
});

test("a verdict of while the link was away is said on the next one", () => {
  const bench = joined();
  bench.wants(attached(1));
  bench.closes(1006);
  bench.give({ kind: "verdict", path: attached(1), verdict: "dead" });
  bench.wait();
  bench.links();
  expect(bench.observed().get("path")).toMatchObject({ verdict: "dead" });
});

test("leads the tunnel where it is attached: from the start, at each move, and nowhere after a logout", () => {
  const before = joined();
  before.wants(attached(1));
  const leads = (bench: Bench) =>
    bench.done.flatMap((effect) => (effect.do === "lead" ? [effect.to?.epoch ?? "nowhere"] : []));
  const bench = new Bench({ saved: before.saved });
  expect(leads(bench)).toEqual([1]);
  bench.links();
  bench.wants(attached(2));
  bench.give({ kind: "wants", wants: "detached" });
  expect(leads(bench)).toEqual([1, 2, "nowhere"]);
  expect(leads(new Bench({ saved: before.saved, wants: "detached" }))).toEqual(["nowhere"]);
  bench.give({ kind: "wants", wants: "attached" });
  bench.wants({ state: "waiting", code: "placement.no-instance" });
  expect(leads(bench).at(-1)).toBe("nowhere");
});

test("ignores an attachment from before the last move, and says again what it holds", () => {
  const bench = joined();
  bench.wants(attached(3));
  bench.observed();
  bench.sent = [];
  bench.wants(attached(2));
  expect(bench.device.hold).toMatchObject({ to: { epoch: 3 } });
  expect(bench.observed().get("held")).toMatchObject({ epoch: 3 });
  expect(told(bench).at(-1)).toMatchObject({ is: "older", heldEpoch: 3 });
});

test("says what it holds to a controller that knows an older epoch, also while its traffic goes by that", () => {
  const bench = joined();
  bench.wants(attached(2));
  bench.give({ kind: "carries", path: attached(2) });
  bench.wants(attached(3));
  expect(bench.observed().get("held")).toMatchObject({ epoch: 2 });
  bench.wants(attached(2));
  expect(bench.observed().get("held"), "or nobody would know of it").toMatchObject({ epoch: 3 });
  bench.wants(attached(4));
  expect(bench.observed().get("held"), "it moves").toMatchObject({ epoch: 2 });
});

test("logs out at once, tells the controller, and takes nothing until it is logged in again", () => {
  const bench = joined();
  bench.wants(attached(1));
  bench.observed();
  bench.give({ kind: "wants", wants: "detached" });
  expect(bench.saved.hold).toEqual({ is: "nothing" });
  const observed = bench.observed();
  expect(observed.get("device")).toMatchObject({ wants: "detached" });
  expect(observed.has("held")).toBe(false);
  bench.wants(attached(1));
  expect(bench.device.hold.is).toBe("nothing");
  bench.give({ kind: "wants", wants: "attached" });
  expect(bench.sent.at(-1)).toMatchObject({ type: "state" });
  expect(bench.sent).toContainEqual({ type: "resync" });
});

test("logged out while it did not run: what was held is not brought back", () => {
  const before = joined();
  before.wants(attached(1));
  const bench = new Bench({ saved: before.saved, wants: "detached" });
  expect(bench.device.hold.is).toBe("nothing");
});

test("removed by the administrator: lets go, stops, and can be invited anew with the same key", () => {
  const bench = joined();
  bench.wants(attached(1));
  bench.closes(4006);
  expect(bench.device.hold.is).toBe("nothing");
  expect(bench.device.linkState).toMatchObject({ kind: "stopped", why: "link.removed" });
  bench.give({ kind: "code", code: new Secret("another-code-0123456789") });
  bench.challenges();
  expect(provedAs(bench)).toEqual(["guest", "guest"]);
});

test("not known to this controller: keeps what it holds, and uses a code that lies there", () => {
  const before = joined();
  before.wants(attached(1));
  const bench = new Bench({ saved: before.saved, code: code() });
  bench.challenges();
  bench.refuses("link.identity-unknown");
  expect(bench.device.hold.is).toBe("attached");
  bench.challenges();
  expect(provedAs(bench)).toEqual(["device", "guest"]);
  bench.refuses("code.used");
  expect(bench.device.linkState).toMatchObject({ kind: "stopped", why: "code.used" });
});

test("after a damaged state file the key speaks for it", () => {
  const bench = new Bench({ saved: savedIsLost });
  bench.links();
  bench.wants(attached(7));
  expect(bench.device.hold).toMatchObject({ to: { epoch: 7 } });
});

test("an attachment of a wrong shape breaks the protocol and changes nothing", () => {
  const bench = joined();
  bench.wants(attached(1));
  const effects = bench.wants({ ...attached(2), ipv4: "300.1.1.1" });
  expect(effects).toContainEqual({ do: "hangUp", dialId: bench.dialId, close: "malformed" });
  expect(bench.device.hold).toMatchObject({ to: { epoch: 1 } });
});

test("a controller that is away is told of once, not at every dial", () => {
  const bench = joined();
  for (let i = 0; i < 5; i++) {
    bench.closes(1006);
    bench.wait();
  }
  expect(told(bench).filter((event) => event.is === "waiting")).toHaveLength(1);
});

test("frames lost, repeated or out of order: the epoch held never falls, and the last word wins", () => {
  const step = fc.constantFrom("move", "repeat", "older", "lose", "drop link");
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const bench = joined();
      let epoch = 1;
      bench.wants(attached(epoch));
      let heldBefore = 1;
      for (const what of steps) {
        if (what === "move") bench.wants(attached(++epoch));
        if (what === "repeat") bench.wants(attached(epoch));
        if (what === "older") bench.wants(attached(Math.max(1, epoch - 1)));
        // The change is lost; the device sees the gap at the next one, and the controller starts anew.
        if (what === "lose") bench.says({ ...frame(90 + epoch, ++epoch), type: "state" });
        if (what === "drop link") {
          bench.closes(1006);
          bench.wait();
          bench.links();
        }
        const { hold } = bench.device;
        const held = hold.is === "attached" ? hold.to.epoch : 0;
        expect(held).toBeGreaterThanOrEqual(heldBefore);
        heldBefore = held;
      }
      bench.closes(1006);
      bench.wait();
      bench.links();
      bench.wants(attached(epoch));
      expect(bench.device.hold).toMatchObject({ to: { epoch } });
      expect(bench.observed().get("held")).toMatchObject({ epoch });
    }),
  );
});

function frame(from: number, epoch: number) {
  const set: [string, unknown][] = [["attachment", attached(epoch)]];
  return { from, to: from + 1, part: 0, last: true, set, remove: [] };
}

test("comes back at a moment of its own among the others, unless its path is dead: then as soon as it can", () => {
  const bench = new Bench({ saved: member });
  const loseLink = () => {
    bench.challenges();
    bench.says({
      ...{ type: "welcome", version: 1, heartbeatMs: 10_000, silentMs: 30_000, name: "laptop" },
      returnWithinMs: 10_000,
    });
    bench.wants(attached(1));
    bench.closes(1006);
    return (bench.device.nextDeadline() ?? 0) - bench.nowMs;
  };
  expect(loseLink()).toBe(5_000);
  const { hold } = bench.device;
  if (hold.is !== "attached") throw new Error("it holds nothing");
  bench.give({ kind: "carries", path: hold.to });
  bench.nowMs += 2_000;
  bench.give({ kind: "verdict", path: hold.to, verdict: "dead" });
  bench.wait();
  expect(bench.nowMs).toBe(3_000);
  expect(bench.device.linkState.kind).toBe("dialling");
  expect(loseLink()).toBeLessThan(1_000);
  bench.give({ kind: "verdict", path: hold.to, verdict: "alive" });
  bench.wait();
  expect(loseLink()).toBe(5_000);
});
