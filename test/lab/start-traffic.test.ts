import { expect, test } from "vitest";
import { lacksOf, type Proof, proofTable, shortcomings } from "../../lab/proof.ts";
import type { DeviceTraffic } from "../../lab/traffic.ts";
import { bytes, trafficText } from "../../lab/traffic-text.ts";
import type { Told } from "../../lab/vpc/questions.ts";

const addresses = { ipv4: "172.18.128.16", ipv6: "2600:1f18:2a89:703:1001::" };
const seenAs = (address: string, tookMs = 4.4): Told => ({
  answer: { ok: true, text: JSON.stringify({ application: "web", address, port: 40_000 }) },
  tookMs,
});
const silence: Told = { answer: { ok: false, why: "ETIMEDOUT" }, tookMs: 1_000 };
const proof: Proof = {
  device: "ana-laptop",
  leased: addresses,
  seen: { ipv4: seenAs(addresses.ipv4), ipv6: seenAs(addresses.ipv6, 12) },
  closed: { ipv4: silence, ipv6: silence },
};

test("a proof: seen with the leased address over both families, and no way to the closed port", () => {
  expect(shortcomings(proof)).toEqual([]);
  expect(proofTable([proof], 80)).toMatchInlineSnapshot(`
    "Device      IPv4           ms  IPv6                       ms  :8080
    ana-laptop  172.18.128.16   4  2600:1f18:2a89:703:1001::  12  closed"
  `);
});

test("what is no proof is named: silence, another's address, a port that should be closed", () => {
  const broken: Proof = {
    ...proof,
    seen: { ipv4: silence, ipv6: seenAs("2600:1f18:2a89:703:1002::") },
    closed: { ipv4: silence, ipv6: seenAs(addresses.ipv6) },
  };
  expect(lacksOf([broken, proof])).toMatchInlineSnapshot(`
    [
      {
        "process": "ana-laptop",
        "text": "ana-laptop gets no answer of web.corp.internal over IPv4: ETIMEDOUT",
      },
      {
        "process": "ana-laptop",
        "text": "web.corp.internal saw ana-laptop as 2600:1f18:2a89:703:1002::, which leases 2600:1f18:2a89:703:1001::",
      },
      {
        "process": "ana-laptop",
        "text": "ana-laptop reaches port 8080 of web.corp.internal over IPv6, which no service allows",
      },
    ]
  `);
  expect(proofTable([broken], 80)).toMatchInlineSnapshot(`
    "Device      IPv4       ms  IPv6                       ms  :8080
    ana-laptop  no answer   -  2600:1f18:2a89:703:1002::   4  open"
  `);
  expect(shortcomings({ ...proof, leased: { ipv4: addresses.ipv4, ipv6: null } })).toHaveLength(1);
});

const device = (name: string, more: Partial<DeviceTraffic> = {}): DeviceTraffic => ({
  name: `${name}-laptop`,
  user: name,
  instance: "aws-us-vir-con-00001",
  ...addresses,
  rxBytes: 12_345,
  txBytes: 999,
  told: { 4: seenAs(addresses.ipv4), 6: seenAs(addresses.ipv6, 1_040) },
  ...more,
});
const instances = [
  { name: "aws-us-vir-con-00001", sessions: 3, active: 2, rxBytes: 1_234_567, txBytes: 98_765_432 },
  { name: "aws-us-vir-con-00002", sessions: 0, active: 0, rxBytes: undefined, txBytes: undefined },
];

test("what flows, in 80 columns; another address than the leased one stands out", () => {
  const wrong = device("bruno", { told: { 4: seenAs("172.18.128.99"), 6: silence } });
  const waiting = {
    ...{ instance: undefined, ipv4: undefined, ipv6: undefined },
    ...{ rxBytes: undefined, txBytes: undefined, told: {} },
  };
  const text = trafficText({ instances, devices: [device("ana"), wrong, device("chen", waiting)] }, 80);
  expect(text).toMatchInlineSnapshot(`
    "Instance              Sessions  Active  From Devices  To Devices
    aws-us-vir-con-00001         3       2        1.2 MB       99 MB
    aws-us-vir-con-00002         0       0             -           -

    Device        Instance   Address                    Web Answers   From     To
    ana-laptop    con-00001  172.18.128.16                     4 ms  12 kB  999 B
      ana                    2600:1f18:2a89:703:1001::      1040 ms
    bruno-laptop  con-00001  172.18.128.99               not leased  12 kB  999 B
      bruno                  2600:1f18:2a89:703:1001::    ETIMEDOUT
    chen-laptop   -          -                                           -      -
      chen                   -"
  `);
});

test("ten devices have room in 40 lines, a hundred are counted", () => {
  const devices = Array.from({ length: 100 }, (_, i) => device(`user${i}`));
  const few = trafficText({ instances, devices: devices.slice(0, 10) }, 80, 33);
  expect(few.split("\n")).toHaveLength(25);
  expect(few).not.toContain("more devices");
  const many = trafficText({ instances, devices }, 80, 33).split("\n");
  expect(many.length).toBeLessThanOrEqual(33);
  expect(many.at(-1)).toBe("… and 87 more devices");
  expect(trafficText({ instances, devices }, 80, 5).split("\n").at(-1)).toBe("… and 100 more devices");
});

test("bytes have three digits at most", () => {
  const counts = [undefined, 0, 999, 1_000, 9_949, 9_950, 999_499, 999_500, 12e9, 3e15];
  expect(counts.map(bytes)).toEqual([
    "-",
    "0 B",
    "999 B",
    "1.0 kB",
    "9.9 kB",
    "10 kB",
    "999 kB",
    "1.0 MB",
    "12 GB",
    "3000 TB",
  ]);
});
