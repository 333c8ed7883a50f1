import { expect, test } from "vitest";
import { coolDownMs, LeaseWorld, pool, session } from "../support/lease-world.ts";

const ipv4 = "10.0.0.16/28";
const ipv6 = "2001:db8:0:0:7::/80";
const dual = new Map([["staff", pool([ipv4], [ipv6])]]);
/** Two addresses, so that a pool is soon full. */
const two = new Map([["staff", pool(["10.0.0.16/31"])]]);

function world(pools = dual): LeaseWorld {
  const made = new LeaseWorld();
  made.configure(pools);
  return made;
}

test("a grant is told when it is on disk, and not before", () => {
  const w = world();
  w.want(["s1", session("d1")]);
  expect(w.leases.outcome("s1")).toBeUndefined();
  expect(w.leases.peers()).toEqual([]);
  w.stored();
  expect(w.leases.outcome("s1")).toEqual({
    outcome: "granted",
    epoch: 1,
    ipv4: "10.0.0.16",
    ipv6: "2001:db8:0:0:7::",
  });
  expect(w.leases.peers()).toMatchObject([{ session: "s1", group: "staff", ipv4: "10.0.0.16" }]);
});

test("no packet passes by an address whose end may be on disk, though its device is back", () => {
  const w = world();
  w.want(["s1", session("d1")]);
  w.settle();
  w.end("s1");
  w.want(["s2", session("d1")]);
  expect(w.leases.peers()).toEqual([]);
  const reached = true;
  w.storeFailed("store.failing", reached);
  expect(w.leases.peers()).toEqual([]);
  w.live(1_000);
  expect(w.leases.peers()).toMatchObject([{ session: "s2", ipv4: "10.0.0.16" }]);
});

test("sessions of one input are one write; both addresses have the same offset", () => {
  const w = world();
  w.want(...Array.from({ length: 16 }, (_, i) => [`s${i}`, session(`d${i}`)] as const));
  expect(w.write?.rows).toHaveLength(16);
  w.settle();
  expect(w.leases.outcome("s11")).toMatchObject({ ipv4: "10.0.0.27", ipv6: "2001:db8::7:0:0:b" });
  expect(w.leases.counts("staff")).toEqual({ total: 16, leased: 16, cooling: 0, quarantined: 0, free: 0 });
  expect(w.leases.conditions().full).toEqual(["staff"]);
});

test("with several ranges slot 16·i+h pairs address h of the i-th IPv4 range with offset 16·i+h", () => {
  const w = world(new Map([["staff", pool(["10.0.0.16/28", "10.0.9.0/28"], [ipv6])]]));
  w.want(...Array.from({ length: 18 }, (_, i) => [`s${i}`, session(`d${i}`)] as const));
  w.settle();
  expect(w.leases.outcome("s17")).toMatchObject({ ipv4: "10.0.9.1", ipv6: "2001:db8::7:0:0:11" });
});

test("the surplus of a longer family is not used; only a short IPv6 side is worth telling", () => {
  const w = world(new Map([["staff", pool([ipv4, "10.0.0.32/28"], ["2001:db8:0:0:7::/124"])]]));
  expect(w.leases.counts("staff")?.free).toBe(16);
  expect(w.leases.conditions().uneven).toEqual(["staff"]);
  expect(world().leases.conditions().uneven).toEqual([]);
});

test("a full pool refuses, evicts nobody, and serves who waits when something frees", () => {
  const w = world(two);
  w.want(["s1", session("d1")], ["s2", session("d2")], ["s3", session("d3")], ["s4", session("d4")]);
  w.settle();
  expect(w.leases.outcome("s3")).toEqual({ outcome: "refused", epoch: 1, code: "pool.full" });
  w.end("s1");
  w.live(coolDownMs - 1);
  expect(w.leases.outcome("s3")).toMatchObject({ code: "pool.full" });
  w.live(1);
  w.settle();
  expect(w.leases.outcome("s3")).toMatchObject({ outcome: "granted", ipv4: "10.0.0.16" });
  expect(w.leases.outcome("s4")).toMatchObject({ code: "pool.full" });
});

test("unknown pools and unverified pools refuse with their own code, until they are there", () => {
  const w = new LeaseWorld();
  w.want(["s1", session("d1")]);
  expect(w.leases.outcome("s1")).toMatchObject({ code: "pool.unverified" });
  w.configure(new Map());
  expect(w.leases.outcome("s1")).toMatchObject({ code: "pool.unknown" });
  w.configure(dual, [ipv6]);
  expect(w.leases.outcome("s1")).toMatchObject({ code: "pool.unverified" });
  w.configure(dual);
  w.settle();
  expect(w.leases.outcome("s1")).toMatchObject({ outcome: "granted" });
});

test("a device gets its own address back: while it cools, and when it was free for long", () => {
  const w = world(new Map([["staff", pool([ipv4])]]));
  w.want(["a", session("d1")], ["b", session("d2")]);
  w.settle();
  w.end("a", "b");
  w.settle();
  w.want(["b2", session("d2")]);
  w.settle();
  expect(w.leases.outcome("b2")).toMatchObject({ ipv4: "10.0.0.17" });
  w.live(coolDownMs);
  w.settle();
  w.want(["c", session("d3")], ["a2", session("d1")]);
  w.settle();
  expect(w.leases.outcome("a2")).toMatchObject({ ipv4: "10.0.0.16" });
  expect(w.leases.outcome("c")).toMatchObject({ ipv4: "10.0.0.18" });
});

test("addresses that were never used come first, then the one unused for longest", () => {
  const w = world(two);
  for (const [id, device] of [
    ["a", "d1"],
    ["b", "d2"],
  ] as const) {
    w.want([id, session(device)]);
    w.settle();
    w.end(id);
    w.live(coolDownMs);
    w.settle();
  }
  w.want(["c", session("d3")], ["d", session("d4")]);
  w.settle();
  expect(w.leases.outcome("c")).toMatchObject({ ipv4: "10.0.0.16" });
  expect(w.leases.outcome("d")).toMatchObject({ ipv4: "10.0.0.17" });
});

test("a lease runs out when its device is not heard, and the same epoch is not served again, also after a restart", () => {
  const w = world();
  w.want(["s1", session("d1")]);
  w.live(60 * 60_000 - 1);
  expect(w.leases.outcome("s1")).toMatchObject({ outcome: "granted" });
  w.live(1);
  w.settle();
  const ended = { outcome: "ended", epoch: 1, code: "lease.expired" };
  expect(w.leases.outcome("s1")).toEqual(ended);
  w.live(coolDownMs);
  w.settle();
  w.restart();
  w.snapshot([["s1", session("d1")]], "disk");
  expect(w.leases.outcome("s1")).toEqual(ended);
  w.want(["s1", session("d1", 2)]);
  w.settle();
  expect(w.leases.outcome("s1")).toMatchObject({ outcome: "granted", epoch: 2, ipv4: "10.0.0.16" });
});

test("a lease ends by a reading that began when it had run out: who came back before that is heard in it", () => {
  const w = world();
  w.want(["s1", session("d1")], ["s2", session("d2")]);
  w.settle();
  const grantedAtMs = w.now.monotonicMs;
  const hour = 60 * 60_000;
  const read = (throughMs: number, heard: readonly (readonly [string, number])[] = []) => {
    w.input({ kind: "seen", sessions: heard, throughMs: grantedAtMs + throughMs });
    while ((w.leases.nextDeadline() ?? Number.POSITIVE_INFINITY) <= w.now.monotonicMs)
      w.input({ kind: "tick" });
    w.settle();
    return ["s1", "s2"].map((id) => w.leases.outcome(id)?.outcome);
  };
  w.pass(hour - 1_000);
  expect(read(hour - 1_000)).toEqual(["granted", "granted"]);
  // The first device comes back in the last moment; the time is over before anybody has looked.
  w.pass(1_000);
  w.input({ kind: "tick" });
  expect(w.leases.nextDeadline()).toBeUndefined();
  w.pass(500);
  // It had begun before.
  expect(read(hour - 1)).toEqual(["granted", "granted"]);
  w.pass(500);
  expect(read(hour + 500, [["s1", grantedAtMs + hour - 1]])).toEqual(["granted", "ended"]);
  // And so again, from when it was heard.
  w.pass(hour - 1_001);
  w.input({ kind: "tick" });
  expect(w.leases.outcome("s1")).toMatchObject({ outcome: "granted" });
  expect(read(2 * hour - 1)).toEqual(["ended", "ended"]);
});

test("what nobody was heard for waits through readings that fail, and is over or not by the next", () => {
  const w = world();
  w.want(["s1", session("d1")]);
  w.settle();
  w.pass(60 * 60_000);
  w.input({ kind: "tick" });
  w.input({ kind: "spare", untilMs: w.now.monotonicMs + 60_000 });
  w.live(59_999);
  expect(w.leases.outcome("s1")).toMatchObject({ outcome: "granted" });
  w.live(1);
  expect(w.leases.outcome("s1")).toMatchObject({ outcome: "ended" });
  // One that is over in the meantime is not ended a second time.
  w.want(["s2", session("d2")]);
  w.settle();
  w.pass(60 * 60_000);
  w.input({ kind: "tick" });
  w.end("s2");
  w.settle();
  const cooling = w.leases.leaseViews(w.now);
  w.seen();
  w.settle();
  expect(w.leases.leaseViews(w.now)).toEqual(cooling);
});

test("being heard renews, and is written only when a tenth of the lease is gained", () => {
  const w = world();
  w.want(["s1", session("d1")]);
  w.settle();
  w.pass(5 * 60_000 - 1);
  w.seen("s1");
  expect(w.write).toBeUndefined();
  w.pass(1);
  w.seen("s1");
  expect(w.write?.rows).toHaveLength(1);
  w.live(60 * 60_000 - 1);
  expect(w.leases.outcome("s1")).toMatchObject({ outcome: "granted" });
  w.live(1);
  expect(w.leases.outcome("s1")).toMatchObject({ outcome: "ended" });
});

test("a newer session of the device takes the lease over, a lower epoch is ignored", () => {
  const w = world();
  w.want(["s1", session("d1", 3)]);
  w.settle();
  w.want(["s1", session("d1", 2)]);
  expect(w.leases.outcome("s1")).toMatchObject({ outcome: "granted", epoch: 3 });
  w.want(["s1", session("d1", 4)]);
  expect(w.leases.outcome("s1")).toBeUndefined();
  expect(w.leases.peers()).toHaveLength(1);
  w.settle();
  expect(w.leases.outcome("s1")).toMatchObject({ outcome: "granted", epoch: 4, ipv4: "10.0.0.16" });
  w.want(["s2", session("d1", 1)]);
  w.settle();
  expect(w.leases.outcome("s1")).toEqual({ outcome: "ended", epoch: 4, code: "lease.superseded" });
  expect(w.leases.outcome("s2")).toMatchObject({ outcome: "granted", ipv4: "10.0.0.16" });
  w.end("s1");
  w.settle();
  expect(w.leases.outcome("s2")).toMatchObject({ outcome: "granted" });
});

test("a lower epoch is ignored after a restart, too: the row says which was the last", () => {
  const w = world();
  w.want(["s1", session("d1", 3)]);
  w.settle();
  w.restart();
  w.snapshot([["s1", session("d1", 1)]], "disk");
  w.settle();
  expect(w.leases.peers()).toHaveLength(1);
  expect(w.leases.outcome("s1")).toMatchObject({ outcome: "granted", epoch: 3, ipv4: "10.0.0.16" });
  w.snapshot([["s1", session("d1", 2)]]);
  w.settle();
  expect(w.leases.outcome("s1")).toMatchObject({ outcome: "granted", epoch: 3 });
  w.want(["s1", session("d1", 4)]);
  w.settle();
  expect(w.leases.outcome("s1")).toMatchObject({ outcome: "granted", epoch: 4, ipv4: "10.0.0.16" });
});

test("after a restart the session on the row stays, though another of its device is wanted too and is higher", () => {
  const w = world();
  const both = [["old", session("d1", 7)] as const, ["new", session("d1", 1)] as const];
  for (const each of both) {
    w.want(each);
    w.settle();
  }
  w.restart();
  w.snapshot(both, "disk");
  w.settle();
  expect(w.leases.outcome("new")).toMatchObject({ outcome: "granted" });
  expect(w.leases.outcome("old")).toMatchObject({ code: "lease.superseded" });
});

test("a vanished range quarantines: nothing is freed, and what is still wanted comes back as it was", () => {
  const w = world();
  w.want(["s1", session("d1")], ["s2", session("d2")]);
  w.settle();
  w.configure(dual, [ipv4]);
  expect(w.leases.outcome("s1")).toEqual({ outcome: "ended", epoch: 1, code: "lease.quarantined" });
  expect(w.leases.counts("staff")).toEqual({ total: 2, leased: 0, cooling: 0, quarantined: 2, free: 0 });
  expect(w.leases.peers()).toEqual([]);
  w.end("s2");
  w.live(2 * coolDownMs);
  expect(w.leases.detached("d2/staff")).toMatchObject({ state: "quarantined" });
  w.configure(dual);
  w.live(0);
  expect(w.leases.outcome("s1")).toMatchObject({ outcome: "granted", ipv4: "10.0.0.16" });
  expect(w.leases.counts("staff")).toEqual({ total: 16, leased: 1, cooling: 0, quarantined: 0, free: 15 });
});

test("a session at a higher epoch leaves its quarantined address for one that is routed", () => {
  const w = world(new Map([["staff", pool(["10.0.0.16/28", "10.0.9.0/28"])]]));
  w.want(["s1", session("d1")]);
  w.settle();
  w.configure(new Map([["staff", pool(["10.0.0.16/28", "10.0.9.0/28"])]]), ["10.0.0.16/28"]);
  w.want(["s1", session("d1", 2)]);
  w.settle();
  expect(w.leases.outcome("s1")).toMatchObject({ outcome: "granted", ipv4: "10.0.9.0" });
  expect(w.leases.counts("staff")).toMatchObject({ leased: 1, quarantined: 1 });
});

test("a lease keeps its pair when the ranges are paired otherwise; slots of its addresses wait for it", () => {
  const before = pool(["10.0.0.16/31"], ["2001:db8::/127", "2001:db8:1::/127"]);
  const after = pool(["10.0.0.16/31"], ["2001:db8:1::/127", "2001:db8::/127"]);
  const w = world(new Map([["staff", before]]));
  w.want(["s1", session("d1")]);
  w.settle();
  w.configure(new Map([["staff", after]]));
  expect(w.leases.outcome("s1")).toMatchObject({ outcome: "granted", ipv4: "10.0.0.16", ipv6: "2001:db8::" });
  expect(w.leases.counts("staff")).toMatchObject({ leased: 1, free: 1 });
  w.want(["s2", session("d2")], ["s3", session("d3")]);
  w.settle();
  expect(w.leases.outcome("s2")).toMatchObject({ ipv4: "10.0.0.17", ipv6: "2001:db8:1::1" });
  expect(w.leases.outcome("s3")).toMatchObject({ code: "pool.full" });
  w.end("s1");
  w.live(coolDownMs);
  w.settle();
  expect(w.leases.outcome("s3")).toMatchObject({ ipv4: "10.0.0.16", ipv6: "2001:db8:1::" });
});

test("a range that moves to another pool is not leased there before its old lease has cooled", () => {
  const w = world(new Map([["staff", pool(["10.0.0.16/31"])]]));
  w.want(["s1", session("d1")], ["s2", session("d2")]);
  w.settle();
  w.configure(new Map([["guests", pool(["10.0.0.16/31"])]]));
  expect(w.leases.outcome("s1")).toMatchObject({ code: "lease.quarantined" });
  w.want(["g", session("d9", 1, { pool: "guests" })]);
  expect(w.leases.outcome("g")).toMatchObject({ code: "pool.full" });
  w.end("s1");
  w.live(coolDownMs);
  w.settle();
  expect(w.leases.outcome("g")).toMatchObject({ outcome: "granted", ipv4: "10.0.0.16" });
  expect(w.disk.rows.size).toBe(2);
});

test("an IPv6 pool is arithmetic: sixty-four ranges cost nothing until they are used", () => {
  const ranges = Array.from({ length: 64 }, (_, i) => `2001:db8:0:${(i + 1).toString(16)}::/80`);
  const w = world(new Map([["staff", pool([], ranges)]]));
  expect(w.leases.counts("staff")?.free).toBe(64 * 65_536);
  w.want(["s1", session("d1")]);
  w.settle();
  expect(w.leases.outcome("s1")).toEqual({ outcome: "granted", epoch: 1, ipv6: "2001:db8:0:1::" });
  expect(w.disk.rows.size).toBe(1);
});

test("a /80 does not keep a row for every device that ever came", () => {
  const w = new LeaseWorld();
  w.configure(new Map([["staff", pool([], ["2001:db8::/80"])]]));
  const come = (from: number, count: number) =>
    Array.from({ length: count }, (_, i) => [`s${from + i}`, session(`d${from + i}`)] as const);
  for (let round = 0; round < 5; round++) {
    w.snapshot(come(1_500 * round, 1_500));
    w.settle();
    w.snapshot([]);
    w.settle();
    w.live(coolDownMs);
    w.settle();
  }
  expect(w.disk.rows.size).toBeLessThanOrEqual(4_096 + 1_500);
  // Who comes back before that many others have come gets its former address still.
  const former = [...w.disk.rows.values()].find(({ device }) => device === "d7499")?.ipv6;
  w.snapshot([["back", session("d7499")]]);
  w.settle();
  expect(w.leases.outcome("back")).toMatchObject({ outcome: "granted", ipv6: former });
});
