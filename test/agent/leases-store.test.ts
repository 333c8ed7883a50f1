import { expect, test } from "vitest";
import { coolDownMs, LeaseWorld, pool, session } from "../support/lease-world.ts";

const one = new Map([["staff", pool(["10.0.0.16/32"])]]);
const many = new Map([["staff", pool(["10.0.0.16/28"], ["2001:db8::/80"])]]);

function world(pools = many): LeaseWorld {
  const made = new LeaseWorld();
  made.configure(pools);
  return made;
}

function tryAgain(w: LeaseWorld): void {
  w.pass((w.leases.nextDeadline() ?? 0) - w.now.monotonicMs);
  w.input({ kind: "tick" });
}

test("a grant that cannot be written is given back, told with the store's code, and tried again by itself", () => {
  const w = world();
  w.want(["s1", session("d1")], ["s2", session("d2")]);
  w.storeFailed("store.full");
  expect(w.leases.outcome("s1")).toEqual({ outcome: "refused", epoch: 1, code: "store.full" });
  expect(w.leases.counts("staff")).toMatchObject({ leased: 0, free: 16 });
  expect(w.leases.conditions().store).toBe("store.full");
  w.live(250);
  w.settle();
  expect(w.leases.outcome("s1")).toMatchObject({ outcome: "granted", ipv4: "10.0.0.16" });
  expect(w.leases.outcome("s2")).toMatchObject({ outcome: "granted", ipv4: "10.0.0.17" });
  expect(w.leases.conditions().store).toBeUndefined();
});

test("while the store fails, one write at a time tries it, ever more rarely; who comes meanwhile is told at once", () => {
  const w = world();
  w.want(["s1", session("d1")]);
  const waits: number[] = [];
  for (let i = 0; i < 7; i++) {
    w.storeFailed("store.read-only");
    w.want([`n${i}`, session(`e${i}`)]);
    expect(w.write).toBeUndefined();
    expect(w.leases.outcome(`n${i}`)).toMatchObject({ code: "store.read-only" });
    const waitMs = (w.leases.nextDeadline() ?? 0) - w.now.monotonicMs;
    waits.push(waitMs);
    w.pass(waitMs);
    w.input({ kind: "tick" });
    expect(w.write?.rows).toHaveLength(i + 2);
  }
  expect(waits).toEqual([250, 500, 1_000, 2_000, 4_000, 5_000, 5_000]);
});

test("slots that are given back go where they came from", () => {
  const w = world(new Map([["staff", pool(["10.0.0.16/30"])]]));
  const devices = ["d0", "d1", "d2", "d3"];
  w.want(...devices.map((device) => [`of ${device}`, session(device)] as const));
  w.settle();
  for (const device of devices) {
    w.end(`of ${device}`);
    w.live(1_000);
  }
  w.live(coolDownMs);
  w.settle();
  // One comes back to the middle of the queue, one takes its head; neither can be written.
  w.want(["back", session("d2")], ["new", session("d9")]);
  w.storeFailed();
  w.end("back", "new");
  w.live(250);
  w.settle();
  w.want(...["x0", "x1", "x2", "x3"].map((device) => [`of ${device}`, session(device)] as const));
  w.settle();
  expect([0, 1, 2, 3].map((i) => w.leases.outcome(`of x${i}`))).toMatchObject(
    ["10.0.0.16", "10.0.0.17", "10.0.0.18", "10.0.0.19"].map((ipv4) => ({ ipv4 })),
  );
});

test("a session that ends while its grant is written cools: the write may have told the disk that it is leased", () => {
  const w = world(one);
  w.want(["s1", session("d1")], ["s2", session("d2")]);
  w.end("s1");
  expect(w.leases.counts("staff")).toMatchObject({ cooling: 1 });
  w.stored();
  expect(w.leases.outcome("s2")).toMatchObject({ code: "pool.full" });
  expect(w.write?.rows).toMatchObject([{ state: "cooling" }]);
  w.live(coolDownMs);
  w.settle();
  expect(w.leases.outcome("s2")).toMatchObject({ outcome: "granted" });
});

test("a cool-down does not end in memory while the disk may say that the address is leased", () => {
  const w = world(one);
  w.want(["s1", session("d1")]);
  w.settle();
  w.end("s1");
  for (let i = 0; i < 5; i++) {
    w.storeFailed();
    w.pass(coolDownMs);
    w.input({ kind: "tick" });
    expect(w.leases.counts("staff")).toMatchObject({ cooling: 1, free: 0 });
  }
  w.stored();
  w.live(0);
  expect(w.leases.counts("staff")).toMatchObject({ cooling: 0, free: 1 });
});

test("a higher epoch while the first grant is written is granted with the second write", () => {
  const w = world();
  w.want(["s1", session("d1", 1)]);
  w.want(["s1", session("d1", 2)]);
  w.stored();
  expect(w.leases.outcome("s1")).toBeUndefined();
  w.stored();
  expect(w.leases.outcome("s1")).toMatchObject({ outcome: "granted", epoch: 2 });
  w.want(["s2", session("d2", 1)]);
  w.want(["s2", session("d2", 2)]);
  w.storeFailed();
  expect(w.leases.outcome("s2")).toEqual({ outcome: "refused", epoch: 2, code: "store.full" });
});

test("results nobody waits for change nothing", () => {
  const w = world();
  w.want(["s1", session("d1")]);
  w.input({ kind: "stored", effectId: 99 });
  w.input({ kind: "storeFailed", effectId: 0, why: "store.full" });
  expect(w.leases.outcome("s1")).toBeUndefined();
  w.settle();
  expect(w.leases.outcome("s1")).toMatchObject({ outcome: "granted" });
});

test("connected users are not affected by a disk that fails: renewals, cool-downs and higher epochs wait for it", () => {
  const w = world();
  w.want(["s1", session("d1")], ["s2", session("d2")]);
  w.settle();
  w.pass(10 * 60_000);
  w.seen("s1", "s2");
  w.storeFailed();
  expect(w.leases.outcome("s1")).toMatchObject({ outcome: "granted" });
  w.want(["s2", session("d2", 2)]);
  expect(w.leases.outcome("s2")).toMatchObject({ outcome: "refused", epoch: 2, code: "store.full" });
  expect(w.leases.peers()).toHaveLength(2);
});

test("a lost database: nothing is granted before the controller has spoken and everything else has cooled", () => {
  const w = new LeaseWorld();
  w.disk.lostTo = "agent.db.corrupt-x";
  w.restart();
  w.configure(many);
  w.snapshot([], "disk");
  w.live(2 * coolDownMs);
  expect(w.leases.conditions().lostTo).toBe("agent.db.corrupt-x");
  const known = session("d1", 3, { granted: { ipv4: "10.0.0.21", ipv6: "2001:DB8:0::5" } });
  w.snapshot([
    ["new", session("d2")],
    ["s1", known],
  ]);
  expect(w.leases.outcome("s1")).toBeUndefined();
  w.settle();
  expect(w.leases.outcome("s1")).toEqual({
    outcome: "granted",
    epoch: 3,
    ipv4: "10.0.0.21",
    ipv6: "2001:db8::5",
  });
  expect(w.leases.outcome("new")).toMatchObject({ outcome: "refused", code: "store.corrupt" });
  w.live(coolDownMs - 1);
  expect(w.leases.outcome("new")).toMatchObject({ code: "store.corrupt" });
  expect(w.disk.lostTo).toBeDefined();
  w.live(1);
  w.settle();
  expect(w.leases.outcome("new")).toMatchObject({ outcome: "granted", ipv4: "10.0.0.16" });
  expect(w.leases.conditions().lostTo).toBeUndefined();
  expect(w.disk.lostTo).toBeUndefined();
});

test("a restart in the middle of recovery keeps what was rebuilt and begins the wait anew", () => {
  const w = new LeaseWorld();
  w.disk.lostTo = "agent.db.corrupt-x";
  w.restart();
  w.configure(many);
  const known = session("d1", 3, { granted: { ipv4: "10.0.0.21", ipv6: "2001:db8::5" } });
  w.snapshot([["s1", known]]);
  w.settle();
  w.live(coolDownMs - 1);
  w.restart();
  w.snapshot([["s1", known]], "disk");
  expect(w.leases.outcome("s1")).toMatchObject({ outcome: "granted", ipv4: "10.0.0.21" });
  w.live(2 * coolDownMs);
  expect(w.leases.conditions().lostTo).toBeDefined();
  w.snapshot([
    ["s1", known],
    ["new", session("d2")],
  ]);
  w.live(coolDownMs);
  w.settle();
  expect(w.leases.outcome("new")).toMatchObject({ outcome: "granted" });
});

test("a lost database, and a disk that takes no other: who is carried is not refused for that, who is new is", () => {
  const w = new LeaseWorld();
  w.disk.lostTo = "agent.db.corrupt-x";
  w.restart();
  w.configure(many);
  const known = session("d1", 3, { granted: { ipv4: "10.0.0.21", ipv6: "2001:db8::5" } });
  w.snapshot([
    ["s1", known],
    ["new", session("d2")],
  ]);
  w.storeFailed("store.full");
  expect(w.leases.outcome("s1")).toBeUndefined();
  expect(w.leases.outcome("new")).toMatchObject({ outcome: "refused" });
  expect(w.leases.arePeersKnown).toBe(false);
  w.live(5_000);
  w.settle();
  expect(w.leases.outcome("s1")).toMatchObject({ outcome: "granted", ipv4: "10.0.0.21" });
});

test("a lost database, and a disk that takes no other for longer than a cool-down: the wait begins when it does", () => {
  const w = new LeaseWorld();
  w.disk.lostTo = "agent.db.corrupt-x";
  w.restart();
  w.configure(new Map([["staff", pool(["10.0.0.16/32"])]]));
  const known = session("d1", 3, { granted: { ipv4: "10.0.0.16" } });
  w.snapshot([["s1", known]]);
  w.storeFailed("store.full");
  // Nobody knows who is let in still, so nothing of it is changed in the tunnel.
  expect(w.leases.arePeersKnown).toBe(false);
  const until = w.now.monotonicMs + coolDownMs;
  while (w.now.monotonicMs < until) {
    tryAgain(w);
    w.storeFailed("store.full");
  }
  w.snapshot([["new", session("d2")]]);
  tryAgain(w);
  w.settle();
  expect(w.leases.arePeersKnown).toBe(true);
  w.live(coolDownMs - 1);
  w.settle();
  expect(w.leases.outcome("new")).toMatchObject({ outcome: "refused" });
  w.live(1);
  w.settle();
  expect(w.leases.outcome("new")).toMatchObject({ outcome: "granted", ipv4: "10.0.0.16" });
});

test("a grant that is tried again and again leaves one thing to write behind", () => {
  const w = world();
  w.want(["s1", session("d1")], ["s2", session("d2")]);
  for (let i = 0; i < 20; i++) {
    w.storeFailed("store.full");
    tryAgain(w);
    expect(w.write?.rows).toHaveLength(2);
    expect(w.write?.forgotten).toEqual([]);
  }
  w.storeFailed("store.full");
  w.end("s1");
  w.end("s2");
  tryAgain(w);
  expect(w.write?.rows).toEqual([]);
  expect(w.write?.forgotten).toHaveLength(2);
});

test("two sessions said to have one address: one of them gets another", () => {
  const w = new LeaseWorld();
  w.disk.lostTo = "agent.db.corrupt-x";
  w.restart();
  w.configure(new Map([["staff", pool(["10.0.0.16/28"])]]));
  const granted = { ipv4: "10.0.0.21" };
  w.snapshot([
    ["s1", session("d1", 1, { granted })],
    ["s2", session("d2", 1, { granted })],
  ]);
  w.settle();
  expect(w.leases.outcome("s1")).toMatchObject({ outcome: "granted", ipv4: "10.0.0.21" });
  expect(w.leases.outcome("s2")).toMatchObject({ code: "store.corrupt" });
  w.live(coolDownMs);
  w.settle();
  expect(w.leases.outcome("s2")).toMatchObject({ outcome: "granted", ipv4: "10.0.0.16" });
});

test("after a reboot a lease has what the wall clock leaves it, and every cool-down starts again", () => {
  const w = world(new Map([["staff", pool(["10.0.0.16/31"])]]));
  w.want(["s1", session("d1")], ["s2", session("d2")]);
  w.settle();
  w.end("s2");
  w.settle();
  w.live(coolDownMs - 1_000);
  w.restart(600_000);
  w.snapshot([["s1", session("d1")]], "disk");
  w.live(coolDownMs - 1);
  expect(w.leases.counts("staff")).toMatchObject({ leased: 1, cooling: 1 });
  w.live(1);
  w.settle();
  expect(w.leases.counts("staff")).toMatchObject({ leased: 1, cooling: 0, free: 1 });
  const [view] = w.leases.leaseViews(w.now);
  expect((view?.untilMs ?? 0) - w.now.wallMs).toBe(60 * 60_000 - 600_000 - 2 * coolDownMs + 1_000);
});

test("a clock that is set expires and extends nothing, neither now, nor over a restart, nor over a reboot", () => {
  for (const stepMs of [-86_400_000, 86_400_000]) {
    const w = world();
    w.want(["s1", session("d1")]);
    w.settle();
    w.now = { ...w.now, wallMs: w.now.wallMs + stepMs };
    w.live(30 * 60_000);
    w.input({ kind: "tick" });
    w.settle();
    w.restart();
    w.restart(60_000);
    w.snapshot([["s1", session("d1")]], "disk");
    w.settle();
    w.live(29 * 60_000 - 1);
    expect(w.leases.outcome("s1")).toMatchObject({ outcome: "granted" });
    w.live(1);
    expect(w.leases.outcome("s1")).toMatchObject({ outcome: "ended" });
  }
});

test("a wall clock that stands before the saved one after a reboot means that no time has passed", () => {
  const w = world();
  w.want(["s1", session("d1")]);
  w.settle();
  w.live(30 * 60_000);
  w.restart(-999_999_999);
  w.snapshot([["s1", session("d1")]], "disk");
  w.live(30 * 60_000 - 1);
  expect(w.leases.outcome("s1")).toMatchObject({ outcome: "granted" });
  w.live(1);
  expect(w.leases.outcome("s1")).toMatchObject({ outcome: "ended" });
});
