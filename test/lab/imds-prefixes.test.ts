import fc from "fast-check";
import { expect, test } from "vitest";
import { instanceNumbered, interfaceNumbered } from "../../lab/imds/instance.ts";
import { PrefixTimeline } from "../../lab/imds/prefixes.ts";
import type { Imds } from "../../lab/imds/server.ts";
import { macsPath, reader, start } from "./imds-fixture.ts";

const mac = "0e:49:61:0f:00:01";
const secondMac = "0e:49:61:0f:01:01";
const v4 = "172.18.140.16/28";
const v6 = "2600:1f18:2a89:703:275::/80";

/** One reading as a client makes it: the MAC directory first, then the keys it lists. */
async function prefixReading(imds: Imds, of = mac): Promise<Record<string, string | number>> {
  const get = await reader(imds);
  const listing = await get(`${macsPath}/${of}/`);
  const reading: Record<string, string | number> = {};
  for (const key of listing.body.split("\n").filter((name) => name.endsWith("-prefix"))) {
    const { status, body } = await get(`${macsPath}/${of}/${key}`);
    reading[key] = status === 200 ? body : status;
  }
  return reading;
}

test("without a prefix the keys are neither listed nor found", async () => {
  await using imds = await start();
  const get = await reader(imds);
  expect(await prefixReading(imds)).toEqual({});
  expect((await get(`${macsPath}/${mac}/ipv4-prefix`)).status).toBe(404);
  expect((await get(`${macsPath}/${mac}/ipv6-prefix`)).status).toBe(404);
});

test("prefixes stand one a line under the interface they are assigned to", async () => {
  await using imds = await start({
    instance: instanceNumbered(1, { interfaces: [interfaceNumbered(1), interfaceNumbered(1, 1)] }),
  });
  imds.assignPrefix(v4);
  imds.assignPrefix("172.18.140.32/28");
  imds.assignPrefix(v6, secondMac);
  expect(await prefixReading(imds)).toEqual({ "ipv4-prefix": `${v4}\n172.18.140.32/28` });
  expect(await prefixReading(imds, secondMac)).toEqual({ "ipv6-prefix": v6 });
});

test("an assignment is seen after the delay, and its end after the delay too", async () => {
  let nowMs = 0;
  await using imds = await start({ propagationMs: 5_000, now: () => nowMs });
  imds.assignPrefix(v4);
  nowMs = 4_999;
  expect(await prefixReading(imds)).toEqual({});
  nowMs = 5_000;
  expect(await prefixReading(imds)).toEqual({ "ipv4-prefix": v4 });
  imds.unassignPrefix(v4);
  expect(imds.world.assignedPrefixes(mac).ipv4).toEqual([]);
  nowMs = 9_999;
  expect(await prefixReading(imds)).toEqual({ "ipv4-prefix": v4 });
  nowMs = 10_000;
  expect(await prefixReading(imds)).toEqual({});
});

test("a prefix that is taken away and given back within the delay never disappears, and is shown once", async () => {
  let nowMs = 0;
  await using imds = await start({ propagationMs: 5_000, now: () => nowMs });
  imds.assignPrefix(v4);
  nowMs = 10_000;
  imds.unassignPrefix(v4);
  imds.assignPrefix(v4);
  for (nowMs of [10_000, 14_999, 15_000, 60_000])
    expect(await prefixReading(imds)).toEqual({ "ipv4-prefix": v4 });
});

test("what is shown is what EC2 held one delay ago, whatever was assigned and unassigned meanwhile", () => {
  const cidrs = ["172.18.140.16/28", "172.18.140.32/28", "172.18.140.48/28"];
  const step = fc.record({ cidr: fc.constantFrom(...cidrs), waitMs: fc.nat(20) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), fc.nat(30), (steps, delayMs) => {
      const timeline = new PrefixTimeline(interfaceNumbered(1));
      const changes: { atMs: number; cidr: string }[] = [];
      const heldAt = (atMs: number) =>
        cidrs.filter((cidr) => changes.filter((c) => c.cidr === cidr && c.atMs <= atMs).length % 2 === 1);
      let nowMs = 0;
      for (const { cidr, waitMs } of steps) {
        if (heldAt(nowMs).includes(cidr)) timeline.unassign(cidr, nowMs, delayMs);
        else timeline.assign(cidr, nowMs, delayMs);
        changes.push({ atMs: nowMs, cidr });
        expect(timeline.assigned().ipv4.toSorted()).toEqual(heldAt(nowMs));
        nowMs += waitMs;
        expect(timeline.shown(nowMs).ipv4.toSorted()).toEqual(heldAt(nowMs - delayMs));
      }
    }),
  );
});

test.each([
  ["172.18.140.0/27", "/28 and /80 only"],
  ["2600:1f18:2a89:703:275::/81", "/28 and /80 only"],
  ["172.18.140.17/28", "172.18.140.16/28"],
  ["10.9.9.0/28", "outside the subnet"],
  ["2600:1f18:2a89:704:275::/80", "outside the subnet"],
  ["172.18.139.0/28", "own address 172.18.139.4"],
  ["nonsense", "nonsense"],
])("EC2 refuses %s", async (cidr, reason) => {
  await using imds = await start();
  expect(() => imds.assignPrefix(cidr)).toThrow(RangeError);
  expect(() => imds.assignPrefix(cidr)).toThrow(reason);
});

test("EC2 refuses what is assigned already, what is not assigned, and an interface the instance does not have", async () => {
  await using imds = await start();
  imds.assignPrefix(v4);
  expect(() => imds.assignPrefix(v4)).toThrow("assigned already");
  expect(() => imds.unassignPrefix(v6)).toThrow("not assigned");
  expect(() => imds.assignPrefix(v6, secondMac)).toThrow("no interface");
});

test("flapping: a prefix is missing in every other reading of each interface", async () => {
  await using imds = await start({
    instance: instanceNumbered(1, { interfaces: [interfaceNumbered(1), interfaceNumbered(1, 1)] }),
  });
  imds.assignPrefix(v4);
  imds.assignPrefix("172.18.140.32/28");
  imds.assignPrefix(v6, secondMac);
  imds.fault({ kind: "flap", prefixes: [v4] });
  const both = { "ipv4-prefix": `${v4}\n172.18.140.32/28` };
  const one = { "ipv4-prefix": "172.18.140.32/28" };
  for (const expected of [one, both, one, both]) {
    expect(await prefixReading(imds)).toEqual(expected);
    expect(await prefixReading(imds, secondMac)).toEqual({ "ipv6-prefix": v6 });
  }
  imds.fault({ kind: "flap" });
  expect(await prefixReading(imds)).toEqual({});
  imds.clearFault("flap");
  expect(await prefixReading(imds)).toEqual(both);
});

test("race: the listing names a key that is 404", async () => {
  await using imds = await start();
  imds.assignPrefix(v6);
  imds.fault({ kind: "race", family: "ipv4" });
  expect(await prefixReading(imds)).toEqual({ "ipv4-prefix": 404, "ipv6-prefix": v6 });
});

test("lie: another instance's prefixes instead of the interface's own", async () => {
  await using imds = await start();
  imds.assignPrefix(v4);
  imds.fault({ kind: "lie", mac, prefixes: ["172.18.141.0/28", "2600:1f18:2a89:703:276::/80"] });
  expect(await prefixReading(imds)).toEqual({
    "ipv4-prefix": "172.18.141.0/28",
    "ipv6-prefix": "2600:1f18:2a89:703:276::/80",
  });
  imds.clearFault();
  expect(await prefixReading(imds)).toEqual({ "ipv4-prefix": v4 });
});
