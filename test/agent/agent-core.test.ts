import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { InstanceReading } from "../../agent/core/enrolment.ts";
import { closeCodes } from "../../protocol/close.ts";
import { failed, failureEntry, success } from "../../protocol/failures.ts";
import type { SessionSpec } from "../../protocol/specs.ts";
import { configured, ipv4Prefix, ipv6Prefix, known, unknown } from "./fixture.ts";
import { ec2InstanceId, emptyDisk, enrolledDisk, parameters, World } from "./world.ts";

function session(number: number, epoch = 1): Record<string, SessionSpec> {
  const id = (base: number) => `00000000-0000-4000-8000-${String(base + number).padStart(12, "0")}`;
  const spec = {
    epoch,
    device: id(5_000),
    user: `user ${number}`,
    pool: "pool1",
    wireguardKey: "W".repeat(43),
  };
  return { [`session/${id(1_000)}`]: spec };
}

const keyOf = (entry: Record<string, unknown>) => Object.keys(entry)[0] ?? "";

/** Enrolled, with its pool verified, and serving these sessions. */
function active(...sessions: Record<string, unknown>[]): World {
  const world = new World(enrolledDisk());
  world.reading = known(ipv4Prefix, ipv6Prefix);
  return world.want(Object.assign({ ...configured }, ...sessions)).run({ kind: "start" });
}

const leaseOfAMinute = { "pool/pool1": { ...configured["pool/pool1"], leaseMinutes: 1 } };

test("a second process of this identity stays in view for minutes, also while the link is back", () => {
  const world = active().cut(4003).pass(20_000);
  expect(world.status.link.state).toBe("up");
  expect(Object.keys(world.conditions)).toEqual(["link.superseded"]);
  world.pass(4 * 60_000);
  expect(Object.keys(world.conditions)).toEqual(["link.superseded"]);
  world.pass(60_000);
  expect(world.conditions).toEqual({});
});

describe("the way to Active", () => {
  test("from an empty disk: keys, password, enrolment, prefixes, pools", () => {
    const world = new World(emptyDisk()).run({ kind: "start" });
    expect(world.disk.identity).toMatchObject({ is: "saved", record: { ec2InstanceId, enrolment: {} } });
    expect(world.otp).toBeUndefined();
    expect(world.status).toMatchObject({
      status: "Online",
      name: "aws-us-east-1-con-00001",
      link: { state: "up" },
    });
    world.want(configured);
    expect(Object.keys(world.conditions)).toContain("prefix.not-assigned");
    world.reading = known(ipv4Prefix, ipv6Prefix);
    world.run({ kind: "verify" });
    expect(world.status.status).toBe("Active");
    expect(world.conditions).toEqual({});
    expect(world.observed.get("instance")).toMatchObject({ status: "Active", conditions: [] });
    expect(world.observed.get("prefixes")).toMatchObject({ ipv4: [ipv4Prefix], ipv6: [ipv6Prefix] });
    expect(world.observed.get("pool/pool1")).toMatchObject({ total: 16, leased: 0, free: 16 });
  });

  test("keys are on disk before anything is sent, and the enrolment before the password goes", () => {
    const world = new World(emptyDisk()).run({ kind: "start" });
    const order = world.done.map((effect) => effect.do);
    const first = (name: (typeof order)[number]) => order.indexOf(name);
    expect(first("makeIdentity")).toBeLessThan(first("dial"));
    expect(first("saveEnrolment")).toBeLessThan(first("removeOtp"));
  });

  test("with everything saved it takes no time at all", () => {
    const world = active();
    expect(world.nowMs).toBe(1_000);
    expect(world.status.status).toBe("Active");
  });

  test("no password: says so, looks for it, and goes on when it comes", () => {
    const world = new World(emptyDisk());
    world.otp = undefined;
    world.run({ kind: "start" }).pass(60_000);
    expect(world.status.status).toBe("Configured");
    expect(Object.keys(world.conditions)).toEqual(["otp.missing"]);
    expect(world.done.some((effect) => effect.do === "dial")).toBe(false);
    world.otp = "late";
    expect(world.pass(2_000).status.status).toBe("Online");
  });

  test("a password that cannot be read: says so with the reason, and goes on when it can", () => {
    const world = new World(emptyDisk());
    world.otpError = "EACCES";
    world.run({ kind: "start" }).pass(60_000);
    expect(world.conditions).toMatchObject({ "otp.unreadable": { text: expect.stringContaining("EACCES") } });
    expect(Object.keys(world.conditions)).toHaveLength(1);
    expect(world.done.some((effect) => effect.do === "dial")).toBe(false);
    world.otpError = undefined;
    expect(world.pass(2_000).status.status).toBe("Online");
  });

  test("no network for ten minutes: it tries on, ever less often, and is there half a minute after", () => {
    const world = new World(emptyDisk());
    const { instance } = world;
    world.instance = { is: "unknown", why: "imds.unreachable", facts: { error: "EHOSTUNREACH" } };
    world.reading = unknown;
    world.isControllerThere = false;
    world.run({ kind: "start" }).pass(10 * 60_000);
    expect(world.status.status).toBe("Configured");
    const looks = world.done.filter((effect) => effect.do === "readInstance").length;
    expect(looks).toBeGreaterThan(15);
    expect(looks).toBeLessThan(60);
    // The link-local address answers before the controller does.
    world.instance = instance;
    world.reading = known();
    world.pass(31_000);
    expect(Object.keys(world.conditions)).toEqual(["link.unreachable"]);
    world.isControllerThere = true;
    expect(world.pass(31_000).status.status).toBe("Online");
  });

  test("a clock at 1970: refused with words about the clock, and there as soon as it is set", () => {
    const world = new World(emptyDisk());
    const { wallAtZeroMs } = world;
    world.wallAtZeroMs = 0;
    world.refusal = "enrol.clock-skew";
    world.run({ kind: "start" }).pass(60_000);
    expect(world.status.status).toBe("Configured");
    expect(world.conditions["enrol.clock-skew"]).toMatchObject({ text: expect.stringMatching(/clock/) });
    expect(world.conditions["enrol.clock-skew"]?.hint).toContain("169.254.169.123");
    world.wallAtZeroMs = wallAtZeroMs;
    world.refusal = undefined;
    expect(world.pass(60_000).status.status).toBe("Online");
    expect(Object.keys(world.conditions)).toEqual(["clock.stepped"]);
  });

  test("metadata that is silent at the start: waits for it, does not enrol without it", () => {
    const world = new World(emptyDisk());
    world.instance = { is: "unknown", why: "imds.unreachable", facts: { error: "no answer" } };
    world.reading = unknown;
    world.run({ kind: "start" }).pass(120_000);
    expect(Object.keys(world.conditions)).toContain("enrol.document-missing");
    expect(world.disk.identity.is).toBe("none");
    world.instance = new World().instance;
    world.reading = known();
    expect(world.pass(31_000).status.status).toBe("Online");
  });

  test.each(["ip", "gateway"] as const)("a wrong %s is named before anything is dialled", (field) => {
    const world = new World(emptyDisk());
    const right = known();
    if (right.is === "unknown") throw new Error("known");
    const other = field === "ip" ? { primaryIpv4: "172.18.139.5" } : { subnetIpv4: "172.18.136.0/21" };
    world.reading = { ...right, interface: { ...right.interface, ...other } };
    world.run({ kind: "start" }).pass(60_000);
    const text = world.conditions[`parameters.${field}-mismatch`]?.text;
    expect(text).toContain(field === "ip" ? "right 172.18.139.5" : "right 172.18.136.1");
    expect(world.status.status).toBe("Configured");
    expect(world.done.some((effect) => effect.do === "dial")).toBe(false);
  });
});

describe("refusals", () => {
  test("of the controller's words those are told that the code's own sentence does not have", () => {
    const told = (text: string) => {
      const world = new World(emptyDisk());
      world.refusal = "otp.used";
      world.refusalText = text;
      return world.run({ kind: "start" }).pass(1_000).conditions["otp.used"]?.text;
    };
    const { summary } = failureEntry("otp.used");
    expect(told(summary)).toBe(summary);
    expect(told(`${summary} (by i-1)`)).toBe(`${summary} (controller says by i-1)`);
    expect(told("Something newer")).toBe(`${summary} (controller says Something newer)`);
  });

  test("a used password stops the link; another password is tried at once", () => {
    const world = new World(emptyDisk());
    world.refusal = "otp.used";
    world.run({ kind: "start" }).pass(60_000);
    expect(world.status.link).toEqual({ state: "stopped", code: "otp.used" });
    expect(world.conditions["otp.used"]?.text).toContain("controller says no");
    const dials = world.done.filter((effect) => effect.do === "dial").length;
    expect(dials).toBe(1);
    world.refusal = undefined;
    world.otp = "two";
    expect(world.pass(2_000).status.status).toBe("Online");
    expect(world.conditions["otp.used"]).toBeUndefined();
  });

  test("the controller may cure it: tried again after a quarter of an hour", () => {
    const world = new World(emptyDisk());
    world.refusal = "otp.unknown";
    world.run({ kind: "start" }).pass(60_000);
    world.refusal = undefined;
    expect(world.pass(14 * 60_000 - 1_000).isLinked).toBe(false);
    expect(world.pass(2_000).isLinked).toBe(true);
  });

  test("an instance that was removed from its group lets nobody in, until it is welcome again", () => {
    const one = session(1);
    const world = active(one);
    expect(world.plans.at(-1)?.peers).toHaveLength(1);
    world.refusal = "link.removed";
    world.cut().pass(60_000);
    expect(world.plans.at(-1)).toMatchObject({ peers: [], routes: [ipv4Prefix, ipv6Prefix] });
    world.isControllerThere = false;
    world.pass(60 * 60_000);
    expect(world.plans.at(-1)?.peers).toEqual([]);
    world.isControllerThere = true;
    world.refusal = undefined;
    world.pass(60 * 60_000);
    expect(world.plans.at(-1)?.peers).toHaveLength(1);
  });

  test("one that is removed while it is linked lets nobody in from then on, also while it is refused as a newcomer", () => {
    const world = active(session(1));
    expect(world.plans.at(-1)?.peers).toHaveLength(1);
    world.otp = "two";
    world.refusal = "enrol.group-full";
    world.cut(closeCodes.removed.code).pass(60_000);
    expect(world.plans.at(-1)).toMatchObject({ peers: [], routes: [ipv4Prefix, ipv6Prefix] });
  });

  test("one that is a member again lets in whom it is told, and not for a moment whom it served before", () => {
    const one = session(1);
    const world = active(one);
    world.otp = "two";
    world.refusal = "enrol.group-full";
    world.cut(closeCodes.removed.code).pass(60_000);
    world.want({ [keyOf(one)]: undefined });
    const before = world.plans.length;
    world.refusal = undefined;
    world.pass(60 * 60_000);
    expect(world.status.status).toBe("Active");
    expect(world.plans.slice(before).flatMap(({ peers }) => peers)).toEqual([]);
  });

  test("an identity that was removed enrols again with a new password", () => {
    const world = active();
    world.otp = undefined;
    world.refusal = "link.removed";
    world.cut().pass(10_000);
    expect(world.status.link).toMatchObject({ state: "stopped", code: "link.removed" });
    expect(Object.keys(world.conditions)).toContain("otp.missing");
    world.refusal = undefined;
    world.otp = "two";
    world.pass(2_000);
    expect(world.done.findLast((effect) => effect.do === "prove")).toMatchObject({ plan: { as: "enrol" } });
    expect(world.status.status).toBe("Active");
  });

  test("one that is removed while it is linked is told so by the close code alone, and enrols again", () => {
    const world = active();
    world.otp = undefined;
    world.cut(closeCodes.removed.code).pass(10_000);
    expect(world.status.link).toMatchObject({ state: "stopped", code: "link.removed" });
    world.otp = "two";
    expect(world.pass(2_000).status.status).toBe("Active");
    expect(world.done.findLast((effect) => effect.do === "prove")).toMatchObject({ plan: { as: "enrol" } });
  });

  test("a password that was there before the refusal is tried as well", () => {
    const world = new World(enrolledDisk());
    world.otp = "two";
    world.isMetadataSlow = true;
    world.refusal = "link.identity-unknown";
    world.run({ kind: "start" });
    expect(world.status.link).toMatchObject({ state: "stopped", code: "link.identity-unknown" });
    world.refusal = undefined;
    world.answerReading(known());
    expect(world.done.findLast((effect) => effect.do === "prove")).toMatchObject({ plan: { as: "enrol" } });
    expect(world.isLinked).toBe(true);
  });
});

describe("identity", () => {
  const elsewhere: InstanceReading = {
    is: "known",
    ec2InstanceId: "i-0e306ccdf94a1b202",
    document: "{}",
    documentSignature: "c2lnbmF0dXJlLXNpZ25hdHVyZQ==",
    local: undefined,
  };

  test("a copied disk starts afresh and proves nothing with the other's key", () => {
    const world = new World(enrolledDisk());
    world.instance = elsewhere;
    world.run({ kind: "start" });
    expect(world.done).toContainEqual({ do: "startAfresh", ec2InstanceId: "i-0e306ccdf94a1b202" });
    expect(world.done.some((effect) => effect.do === "dial" || effect.do === "prove")).toBe(false);
  });

  const silent = { is: "unknown", why: "imds.unreachable", facts: { error: "no answer" } } as const;

  test("metadata that is silent after a boot: the disk may be a copy, so nothing is dialled before it speaks", () => {
    const world = new World(enrolledDisk());
    world.instance = silent;
    world.run({ kind: "start" }).pass(600_000);
    expect(world.done.some((effect) => effect.do === "dial" || effect.do === "prove")).toBe(false);
    expect(world.conditions["identity.unconfirmed"]?.text).toContain(`made on ${ec2InstanceId}`);
    world.instance = elsewhere;
    world.pass(31_000);
    expect(world.done.some((effect) => effect.do === "startAfresh")).toBe(true);

    const original = new World(enrolledDisk());
    original.instance = silent;
    original.run({ kind: "start" }).pass(600_000);
    original.instance = new World().instance;
    expect(original.pass(31_000).status.status).toBe("Online");
    expect(original.conditions["identity.unconfirmed"]).toBeUndefined();
  });

  test("firmware that names the instance: metadata is not waited for", () => {
    const world = new World(enrolledDisk());
    world.firmware = ec2InstanceId;
    world.instance = silent;
    expect(world.restart().run({ kind: "start" }).isLinked).toBe(true);
  });

  test("metadata that has spoken in this boot: another process goes on with that, another boot does not", () => {
    const world = new World(enrolledDisk()).run({ kind: "start" }).pass(5_000);
    world.instance = silent;
    expect(world.restart().run({ kind: "start" }).pass(1_000).isLinked).toBe(true);
    expect(world.restart().run({ kind: "start" }).pass(1_000).isLinked).toBe(true);
    world.bootId = "another boot";
    expect(world.restart().run({ kind: "start" }).pass(60_000).isLinked).toBe(false);
  });

  test("an identity that cannot be read is not replaced; mended, it is used", () => {
    const disk = { ...enrolledDisk(), identity: { is: "unreadable", detail: "it is empty" } as const };
    const world = new World(disk).run({ kind: "start" }).pass(60_000);
    expect(Object.keys(world.conditions)).toContain("identity.unreadable");
    expect(world.done.some((effect) => effect.do === "makeIdentity" || effect.do === "dial")).toBe(false);
    world.run({ kind: "reload", identity: enrolledDisk().identity });
    expect(world.isLinked).toBe(true);
  });

  test("a full disk makes no identity; space makes one", () => {
    const world = new World(emptyDisk());
    world.diskFails = "store.full";
    world.run({ kind: "start" }).pass(20_000);
    expect(world.status.conditions).toMatchObject([{ code: "store.full", subject: "identity" }]);
    world.diskFails = undefined;
    expect(world.pass(6_000).status.status).toBe("Online");
  });

  test("an enrolment that cannot be saved keeps the password until it is", () => {
    const world = new World(emptyDisk());
    world.refusal = "link.throttled";
    world.run({ kind: "start" });
    world.refusal = undefined;
    world.diskFails = "store.full";
    world.pass(30_000);
    expect(world.isLinked).toBe(true);
    expect(world.otp).toBe("one");
    world.diskFails = undefined;
    world.pass(6_000);
    expect(world.otp).toBeUndefined();
    expect(world.disk.identity).toMatchObject({ record: { enrolment: { connector: "aws-one" } } });
  });
});

describe("sessions", () => {
  test("are granted, stored first, forwarded and reported", () => {
    const one = session(1);
    const world = active().want(one);
    expect(world.observed.get(keyOf(one))).toMatchObject({ outcome: "granted", epoch: 1 });
    expect(world.disk.leases.size).toBe(1);
    expect(world.plans.at(-1)).toMatchObject({
      routes: [ipv4Prefix, ipv6Prefix],
      peers: [{ group: "staff" }],
    });
    expect(world.pass(5_000).status).toMatchObject({ activeAgents: 1, sessions: 1 });
    expect(world.observed.get("instance")).toMatchObject({ activeAgents: 1 });
    world.want({ [keyOf(one)]: undefined });
    expect(world.observed.has(keyOf(one))).toBe(false);
    expect(world.plans.at(-1)?.peers).toEqual([]);
  });

  test("a write that fails refuses with the reason, and nothing is forwarded", () => {
    const world = active();
    world.diskFails = "store.full";
    const one = session(1);
    world.want(one);
    expect(world.observed.get(keyOf(one))).toMatchObject({ outcome: "refused", code: "store.full" });
    expect(Object.keys(world.conditions)).toContain("store.full");
    expect(world.plans.at(-1)?.peers).toEqual([]);
  });

  test("a prefix that vanishes with leases in it: granted until it is certain, then quarantined, never freed", () => {
    const one = session(1);
    const world = active(one);
    world.reading = known();
    world.run({ kind: "verify" }).pass(9_000);
    expect(world.observed.get(keyOf(one))).toMatchObject({ outcome: "granted" });
    world.pass(15_000);
    expect(world.observed.get(keyOf(one))).toMatchObject({ outcome: "ended", code: "lease.quarantined" });
    expect(world.status.status).toBe("Online");
    expect(Object.keys(world.conditions)).toContain("prefix.vanished");
    expect(world.status.pools).toMatchObject([{ leased: 0, free: 0, quarantined: 1 }]);
    expect(world.plans.at(-1)).toMatchObject({ routes: [], peers: [] });
  });

  test("a metadata service that fails, lies for a moment or flaps changes nothing for anybody", () => {
    const one = session(1);
    const world = active(one);
    const untouched = () => {
      expect(world.observed.get(keyOf(one))).toMatchObject({ outcome: "granted" });
      expect(world.status.status).toBe("Active");
    };
    world.reading = unknown;
    world.run({ kind: "verify" }).pass(3_600_000);
    untouched();
    for (let i = 0; i < 30; i++) {
      world.reading = known("172.18.141.0/28");
      world.run({ kind: "verify" }).pass(6_000);
      world.reading = known(ipv4Prefix, ipv6Prefix);
      world.run({ kind: "verify" }).pass(6_000);
      untouched();
    }
  });
});

describe("restart", () => {
  test("with the controller away it serves from disk, at once", () => {
    const one = session(1);
    const world = active(one);
    const plan = world.plans.at(-1);
    world.isControllerThere = false;
    world.reading = unknown;
    world.instance = { is: "unknown", why: "imds.unreachable", facts: { error: "no answer" } };
    world.restart().run({ kind: "start" });
    expect(world.plans.at(-1)).toEqual(plan);
    expect(world.views.sessions()).toMatchObject([{ state: "granted" }]);
    expect(world.status.status).toBe("Offline");
    world.isControllerThere = true;
    world.pass(60_000);
    expect(world.status.status).toBe("Active");
    expect(world.observed.get(keyOf(one))).toMatchObject({ outcome: "granted" });
  });

  test("with a lost database, and metadata slower than the controller, nobody is refused too early", () => {
    const one = session(1);
    const [key, spec] = Object.entries(one)[0] ?? [];
    const granted = { ipv4: "172.18.140.21", ipv6: "2600:1f18:2a89:703:275::5" };
    const lost = () => {
      const world = new World({ ...enrolledDisk(), lostTo: "agent.db.corrupt" });
      world.isMetadataSlow = true;
      world.want({ ...configured, [key ?? ""]: { ...spec, granted } }).run({ kind: "start" });
      expect(world.isLinked).toBe(true);
      expect(world.observed.get(key ?? "")).toBeUndefined();
      return world;
    };
    const answered = lost();
    // An empty plan would cut off everyone whom the kernel still carries.
    expect(answered.plans).toEqual([]);
    answered.answerReading(known(ipv4Prefix, ipv6Prefix));
    expect(answered.observed.get(key ?? "")).toEqual({ outcome: "granted", epoch: 1, ...granted });
    // A reading that fails says nothing about prefixes, so it ends nothing: the kernel carries on as it is.
    const unread = lost().answerReading(unknown);
    expect(unread.observed.get(key ?? "")).toBeUndefined();
    expect(unread.plans).toEqual([]);
    // The one that succeeds without the prefix does.
    unread.pass(5_000);
    unread.answerReading(known());
    expect(unread.observed.get(key ?? "")).toMatchObject({ outcome: "ended", code: "lease.quarantined" });
  });

  test("a drain by hand survives it, an administrator's comes from the controller again", () => {
    const world = active().want({ drain: { sinceMs: 5 } });
    world.run({ kind: "hold", reason: "cli", isOn: true });
    expect(world.status).toMatchObject({ status: "Draining", drain: ["admin", "cli"] });
    world.restart().run({ kind: "start" });
    expect(new Set(world.status.drain)).toEqual(new Set(["cli", "admin"]));
    world.want({ drain: undefined });
    expect(world.status.drain).toEqual(["cli"]);
    world.run({ kind: "hold", reason: "cli", isOn: false });
    expect(world.status).toMatchObject({ status: "Active", drain: [] });
    expect(world.restart().run({ kind: "start" }).status.drain).toEqual([]);
  });

  test("stopping says no goodbye and does not dial again", () => {
    const world = active().run({ kind: "stop" });
    expect(world.done.at(-1)?.do === "note" || world.done.some((effect) => effect.do === "hangUp")).toBe(
      true,
    );
    expect(world.sent.some(({ type }) => type === "goodbye")).toBe(false);
    const dials = world.done.filter((effect) => effect.do === "dial").length;
    world.pass(60_000);
    expect(world.done.filter((effect) => effect.do === "dial").length).toBe(dials);
  });
});

describe("frames", () => {
  test("an entry that is malformed is a breach: nothing of the change is applied, and the link is dialled anew", () => {
    const world = active();
    world.say({
      type: "state",
      from: 1,
      to: 2,
      part: 0,
      last: true,
      set: [
        ["drain", { sinceMs: 1 }],
        ["pool/pool2", { group: "staff", leaseMinutes: 0, ipv4: [], ipv6: [] }],
      ],
      remove: [],
    });
    expect(world.status.drain).toEqual([]);
    expect(world.notes).toContainEqual({
      is: "breach",
      where: expect.stringContaining("pool/pool2: leaseMinutes"),
    });
    expect(world.isLinked).toBe(false);
    expect(world.pass(60_000).status.status).toBe("Active");
  });

  test("entries of kinds that only a newer controller knows are ignored and counted", () => {
    const world = active().want({ "quota/pool1": { bytes: 5 } });
    expect(world.notes).toContainEqual({ is: "ignored", entries: 1 });
    expect(world.status.status).toBe("Active");
  });

  test("however frames are lost and repeated, both sides end up with the same", () => {
    const change = fc.record({
      number: fc.integer({ min: 0, max: 5 }),
      isThere: fc.boolean(),
      passMs: fc.integer({ min: 0, max: 3_000 }),
    });
    const fates = fc.infiniteStream(fc.constantFrom<0 | 1 | 2>(1, 1, 1, 0, 2));
    fc.assert(
      fc.property(fc.array(change, { maxLength: 25 }), fates, (changes, fate) => {
        const world = active();
        world.copies = () => fate.next().value ?? 1;
        for (const { number, isThere, passMs } of changes) {
          const entry = session(number);
          world.want(isThere ? entry : { [keyOf(entry)]: undefined }).pass(passMs);
        }
        world.copies = () => 1;
        world.pass(60_000);
        const wanted = [...world.desired.keys()].filter((name) => name.startsWith("session/")).sort();
        const told = [...world.observed.keys()].filter((name) => name.startsWith("session/")).sort();
        expect(told).toEqual(wanted);
        for (const name of told) expect(world.observed.get(name)).toMatchObject({ outcome: "granted" });
        expect(world.disk.desired).toEqual(world.desired);
      }),
      { numRuns: 60 },
    );
  });
});

describe("the data path", () => {
  test("that fails is tried again, with the command that failed in the condition, and Active waits for it", () => {
    const world = new World(enrolledDisk());
    world.dataPathFails = true;
    world.reading = known(ipv4Prefix, ipv6Prefix);
    world.want(configured).run({ kind: "start" }).pass(5_000);
    expect(world.status.status).toBe("Online");
    expect(world.conditions["datapath.failing"]?.text).toContain("nft -f rules");
    const tries = world.done.filter((effect) => effect.do === "apply").length;
    expect(tries).toBeGreaterThan(3);
    expect(tries).toBeLessThan(8);
    world.dataPathFails = false;
    expect(world.pass(30_000).status.status).toBe("Active");
  });

  test("what somebody else changed is brought back, and shown", () => {
    const world = active(session(1));
    const applies = () => world.done.filter((effect) => effect.do === "apply").length;
    const before = applies();
    world.drift = ["table inet connector is missing"];
    expect(world.pass(10_000).conditions["datapath.drifted"]?.text).toContain(
      "table inet connector is missing",
    );
    expect(applies()).toBe(before + 1);
    expect(world.status.status).toBe("Active");
    expect(Object.keys(world.pass(11 * 60_000).conditions)).toEqual([]);
    expect(applies()).toBe(before + 1);
  });

  test("while nobody can say who is connected no lease ends, and then it does", () => {
    const one = session(1);
    const world = active(leaseOfAMinute, one);
    world.trafficFails = true;
    world.pass(10 * 60_000);
    expect(world.observed.get(keyOf(one))).toMatchObject({ outcome: "granted" });
    expect(Object.keys(world.conditions)).toEqual(["datapath.unreadable"]);
    world.trafficFails = false;
    world.traffic = new Map();
    world.pass(2 * 60_000);
    expect(world.observed.get(keyOf(one))).toMatchObject({ outcome: "ended", code: "lease.expired" });
  });

  test("a lease that ran out while the agent was away is its device's if that was connected", () => {
    const one = session(1);
    const world = active(leaseOfAMinute, one);
    world.nowMs += 10 * 60_000;
    world.restart().run({ kind: "start" }).pass(20_000);
    expect(world.observed.get(keyOf(one))).toMatchObject({ outcome: "granted" });
    world.traffic = new Map();
    world.nowMs += 10 * 60_000;
    world.restart().run({ kind: "start" }).pass(120_000);
    expect(world.observed.get(keyOf(one))).toMatchObject({ outcome: "ended" });
  });

  test("many sessions at once are few applies", () => {
    const sessions = Array.from({ length: 16 }, (_, number) => session(number));
    const world = active(...sessions);
    expect(world.plans.at(-1)?.peers).toHaveLength(16);
    expect(world.done.filter((effect) => effect.do === "apply").length).toBeLessThan(6);
  });
});

test("whatever fails, it never spins: a tick at its deadline moves the deadline on", () => {
  const failures: readonly Partial<World>[] = [
    { diskFails: "store.full" },
    { dataPathFails: true },
    { isControllerThere: false },
    { reading: unknown },
    { instance: { is: "unknown", why: "imds.failing", facts: {} } },
    { otp: undefined } as Partial<World>,
  ];
  for (const disk of [emptyDisk, enrolledDisk]) {
    for (let mask = 0; mask < 2 ** failures.length; mask++) {
      const world = new World(disk());
      world.want({ ...configured, ...session(1) });
      Object.assign(world, ...failures.filter((_, i) => mask & (1 << i)));
      world.run({ kind: "start" }, { kind: "hold", reason: "cli", isOn: true });
      let ticks = 0;
      const endMs = world.nowMs + 60_000;
      for (
        let due = world.agent.nextDeadline();
        due !== undefined && due < endMs;
        due = world.agent.nextDeadline()
      ) {
        world.nowMs = Math.max(world.nowMs, due);
        world.run({ kind: "tick" });
        expect(++ticks).toBeLessThan(500);
      }
    }
  }
});

test("results of effects that nobody waits for are dropped", () => {
  const world = active(session(1));
  const before = JSON.stringify(world.status);
  world.run(
    { kind: "prefixesRead", effectId: 9_999, reading: known() },
    { kind: "instanceRead", effectId: 9_999, reading: { is: "unknown", why: "imds.failing", facts: {} } },
    {
      kind: "applied",
      effectId: 9_999,
      result: failed("datapath.failing"),
    },
    { kind: "stored", part: "leases", effectId: 9_999, why: "store.full" },
    { kind: "stored", part: "memory", effectId: 9_999, why: "store.full" },
    { kind: "otpSeen", effectId: 9_999, seen: { is: "there", mark: "x" } },
    { kind: "trafficRead", effectId: 9_999, result: success(new Map()) },
    { kind: "compared", effectId: 9_999, result: failed("datapath.failing") },
  );
  expect(JSON.stringify(world.status)).toBe(before);
});

test("a wall clock that is set is told, and changes nothing", () => {
  const world = active(session(1));
  const now = { monotonicMs: world.nowMs, wallMs: world.now.wallMs + 3_600_000 };
  world.agent.handle({ kind: "tick" }, now);
  const conditions = world.agent.views(() => now).status().conditions;
  expect(conditions).toMatchObject([{ code: "clock.stepped", text: expect.stringContaining("3600") }]);
  expect(world.views.sessions()).toMatchObject([{ state: "granted" }]);
});

test("a boot with the clock at 1970, set a minute later: leases are as they were", () => {
  const world = active(session(1));
  const { wallAtZeroMs } = world;
  const before = world.views.leases();
  world.wallAtZeroMs = -world.nowMs;
  world.restart().run({ kind: "start" }).pass(60_000);
  expect(world.status.status).toBe("Active");
  world.wallAtZeroMs = wallAtZeroMs;
  world.pass(60_000);
  expect(world.views.sessions()).toMatchObject([{ state: "granted" }]);
  expect(world.views.leases()).toHaveLength(before.length);
  expect(Object.keys(world.conditions)).toEqual(["clock.stepped"]);
});

test("an address that comes onto the host's interface late is seen", () => {
  const world = new World(emptyDisk());
  const { instance } = world;
  if (instance.is === "unknown") throw new Error("known");
  world.instance = { ...instance, local: [] };
  world.run({ kind: "start" }).pass(60_000);
  expect(world.conditions["parameters.ip-mismatch"]?.text).toContain("on the host's interfaces none");
  world.instance = { ...instance, local: [parameters.ip] };
  world.run({ kind: "verify" });
  expect(world.status.status).toBe("Online");
});
