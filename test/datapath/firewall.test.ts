import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Firewall, firewallOf } from "../../agent/core/firewall.ts";
import { domainKey } from "../../agent/core/firewall-entries.ts";
import { ageText, learnedSets } from "../../agent/core/firewall-learned.ts";
import { commentText, safeName } from "../../agent/core/firewall-names.ts";
import { changeText, tableText } from "../../agent/core/firewall-text.ts";
import { ResourceSpec } from "../../protocol/specs.ts";
import { type Connection, isAllowed } from "./firewall-oracle.ts";
import { peer, planOf, service, tunnel } from "./firewall-plans.ts";
import { fateOf, type Packet } from "./firewall-simulator.ts";

const services = [
  service("web", "*.app.internal", "tcp 80 443", ["sales"]),
  service("everything", "10.0.0.0/8", "any", ["sales", "admins"], { serverInitiated: true }),
  service("databases", "10.1.0.0/16", "tcp 5432-5440", ["admins"]),
  service("ping", "fd00:7::/64", "icmp", ["admins"]),
];

describe("text", () => {
  test("the whole table of two groups and four services", async () => {
    const firewall = firewallOf(planOf([peer(1, "sales"), peer(2, "admins")], services), tunnel);
    await expect(tableText(firewall)).toMatchFileSnapshot("golden/table.nft");
  });

  test("one session more is one element of each family", () => {
    const before = firewallOf(planOf([peer(1, "sales")], services), tunnel);
    const after = firewallOf(planOf([peer(1, "sales"), peer(2, "sales")], services), tunnel);
    const chain = before.users.get("10.200.0.1");
    expect(changeText(before, after)).toBe(
      `add element inet connector users4 { 10.200.0.2 : goto ${chain} }\n` +
        `add element inet connector users6 { 2001:db8:200::2 : goto ${chain} }\n`,
    );
    expect(changeText(after, before)).toBe(
      "delete element inet connector users4 { 10.200.0.2 }\n" +
        "delete element inet connector users6 { 2001:db8:200::2 }\n",
    );
    expect(changeText(after, after)).toBeUndefined();
  });

  test("a group that leaves, a service that changes and one that comes", async () => {
    const before = firewallOf(planOf([peer(1, "sales"), peer(2, "admins")], services), tunnel);
    const changed = [
      ...services.slice(1, 3),
      service("ping", "fd00:7::/64", "any", ["admins"]),
      service("git", "git.example.internal", "tcp 22", ["admins"]),
    ];
    const after = firewallOf(planOf([peer(2, "admins"), peer(3, "admins")], changed), tunnel);
    await expect(changeText(before, after)).toMatchFileSnapshot("golden/change.nft");
  });

  test("what was learned and counted is carried into a new table", () => {
    const firewall = firewallOf(planOf([peer(1, "sales")], services), tunnel);
    const [v4, v6] = learnedSets("app.internal");
    const text = tableText(firewall, {
      learned: new Map([
        [v4.now, ["10.0.0.5", "10.0.0.6"]],
        [v6.before, ["fd00::5"]],
        ["of_a_domain_that_left", ["10.0.0.9"]],
      ]),
      counters: new Map([["drop_metadata", { packets: 7, bytes: 420 }]]),
    });
    expect(text).toContain(`add element inet connector ${v4.now} { 10.0.0.5, 10.0.0.6 }`);
    expect(text).toContain(`add element inet connector ${v6.before} { fd00::5 }`);
    expect(text).toContain("packets 7 bytes 420");
    expect(text).not.toContain("of_a_domain_that_left");
  });

  test("ageing moves what is recent to what is known, and forgets what was not named again", () => {
    const [v4] = learnedSets("app.internal");
    const learned = new Map([
      [v4.now, ["10.0.0.1", "10.0.0.2"]],
      [v4.before, ["10.0.0.2", "10.0.0.3"]],
    ]);
    expect(ageText(["app.internal"], learned)).toBe(
      `add element inet connector ${v4.before} { 10.0.0.1, 10.0.0.2 }\n` +
        `delete element inet connector ${v4.before} { 10.0.0.3 }\n` +
        `delete element inet connector ${v4.now} { 10.0.0.1, 10.0.0.2 }\n`,
    );
    expect(ageText(["app.internal"], new Map())).toBeUndefined();
  });
});

describe("names", () => {
  test("any name of an operator becomes one that nft takes, different names different ones", () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.string({ unit: "grapheme", maxLength: 63 }), { maxLength: 50 }),
        (texts) => {
          const names = texts.map((text) => safeName("grp", text));
          expect(new Set(names).size).toBe(texts.length);
          for (const name of names) expect(name).toMatch(/^grp_[a-z0-9_]{1,40}$/);
          for (const text of texts) {
            expect(commentText(text)).not.toMatch(/["\\\n]/);
            expect(Buffer.byteLength(commentText(text))).toBeLessThanOrEqual(120);
          }
        },
      ),
    );
  });

  test("they stay what they are: a running instance compares with them", () => {
    expect(safeName("grp", "Field Sales é")).toMatchInlineSnapshot(`"grp_field_sales_184724bec8d87404"`);
  });
});

test("text that is no domain, prefix or server never reaches a file, whoever let it come so far", () => {
  const evil = (name: string, destination: ResourceSpec["destination"]) => ({
    ...service(name, "10.0.0.0/8", "any", ["sales"]),
    destination,
  });
  const bad = [
    evil("a", { domain: "x.internal/4#ip#other#set\nuser=root" }),
    evil("b", { domain: "x.internal; } delete table inet connector" }),
    evil("c", { cidr: "10.0.0.0/8 accept;" }),
  ];
  const plan = planOf([peer(1, "sales")], bad);
  const text = tableText(firewallOf({ ...plan, routes: ["10.0.0.0/8 } drop"] }, tunnel));
  expect(text.split("delete table")).toHaveLength(2);
  expect(text).not.toMatch(/#|user=|10\.0\.0\.0|\} drop/);
  expect(firewallOf(plan, tunnel).domains.size).toBe(0);
});

test("services that cannot be meant are refused before they come here", () => {
  const good = service("web", "10.0.0.0/8", "tcp 80", ["staff"]);
  expect(ResourceSpec.safeParse(good).success).toBe(true);
  const bad: unknown[] = [
    { ...good, ports: [{ from: 443, to: 80 }] },
    { ...good, ports: [{ from: 0, to: 80 }] },
    { ...good, ports: [{ from: 80 }] },
    { ...good, destination: { cidr: "10.0.0.1/8" } },
    { ...good, destination: { domain: "app.*.internal" } },
    { ...good, destination: { domain: "*" } },
    { ...good, protocol: "icmp" },
  ];
  expect(bad.filter((spec) => ResourceSpec.safeParse(spec).success)).toEqual([]);
});

describe("which entry decides", () => {
  const groups = ["a", "b"];
  const privates = ["10.0.0.1", "10.0.0.2", "10.0.0.130", "10.1.0.1", "fd00::1", "fd00::2", "fd00:1::1"];
  const cidrs = [
    "0.0.0.0/0",
    "10.0.0.0/8",
    "10.0.0.0/24",
    "10.0.0.0/25",
    "10.0.0.1/32",
    "::/0",
    "fd00::/16",
    "fd00::/64",
    "fd00::1/128",
  ];
  const domains = ["one.internal", "*.two.internal"];
  const whats = [
    "any",
    "tcp",
    "udp",
    "icmp",
    "tcp 80",
    "tcp 80 81",
    "tcp 1-1024",
    "tcp 80-90 85-100",
    "udp 80",
  ];

  const someServices = fc.array(
    fc
      .record({
        destination: fc.constantFrom(...cidrs, ...domains),
        what: fc.constantFrom(...whats),
        groups: fc.subarray(groups, { minLength: 1 }),
        serverInitiated: fc.boolean(),
      })
      .map(({ destination, what, groups, serverInitiated }) =>
        service("", destination, what, groups, { serverInitiated }),
      ),
    { maxLength: 8 },
  );
  const someConnection = fc.record({
    group: fc.constantFrom(...groups),
    private: fc.constantFrom(...privates),
    opened: fc.constantFrom("by user" as const, "by server" as const),
    protocol: fc.constantFrom("tcp" as const, "udp" as const, "icmp" as const, "gre" as const),
    port: fc.constantFrom(22, 80, 81, 86, 95, 1024, 5000),
  });
  const someAnswers = fc.record({
    "one.internal": fc.subarray(privates),
    "two.internal": fc.subarray(privates),
  });

  test("the chains decide as the rule says, for every packet", () => {
    fc.assert(
      fc.property(
        someServices,
        someAnswers,
        fc.array(someConnection, { minLength: 20, maxLength: 20 }),
        fc.boolean(),
        (unnamed, answers, connections, aged) => {
          const firewall = serving(unnamed);
          const resolve = (domain: string) => answers[domain as keyof typeof answers];
          const sets = setsOf(firewall, resolve, aged);
          for (const connection of connections) {
            const verdict = isAllowed(unnamed.map(named), connection, resolve) ? "accept" : "drop";
            const packet = firstPacket(connection);
            expect(fateOf(firewall, packet, sets).verdict, JSON.stringify(connection)).toBe(verdict);
            const answer = fateOf(firewall, answerTo(packet), sets);
            expect(answer.verdict, JSON.stringify(connection)).toBe(verdict);
          }
        },
      ),
      { numRuns: 1_000 },
    );
  });

  test("a connection opened under other services is let through exactly when it would be opened now", () => {
    fc.assert(
      fc.property(
        someServices,
        someServices,
        someAnswers,
        fc.array(someConnection, { minLength: 20, maxLength: 20 }),
        (before, after, answers, connections) => {
          const resolve = (domain: string) => answers[domain as keyof typeof answers];
          const [then, now] = [serving(before), serving(after)];
          const [setsThen, setsNow] = [setsOf(then, resolve, false), setsOf(now, resolve, true)];
          for (const connection of connections) {
            const packet = firstPacket(connection);
            const { mark } = fateOf(then, packet, setsThen);
            if (mark === undefined) continue;
            const verdict = isAllowed(after.map(named), connection, resolve) ? "accept" : "drop";
            for (const next of [packet, answerTo(packet)]) {
              const fate = fateOf(now, { ...next, mark }, setsNow);
              expect(fate.verdict, JSON.stringify(connection)).toBe(verdict);
              // Judged once, and not with every packet.
              if (verdict === "accept") expect(now.marks).toContain(Number(fate.mark));
            }
          }
        },
      ),
      { numRuns: 1_000 },
    );
  });

  test("a change that has nothing to do with a connection leaves its mark", () => {
    const peers = [peer(1, "sales"), peer(2, "admins")];
    const marks = (...more: ResourceSpec[]) =>
      firewallOf(planOf(peers, [...services, ...more]), tunnel).marks;
    const before = marks();
    const untouched = (...more: ResourceSpec[]) => {
      const after = marks(...more);
      return [...before].every((mark) => after.has(mark));
    };
    const everyones = service("new", "10.0.0.7/32", "tcp 22", ["sales", "admins"], { serverInitiated: true });
    expect(untouched(everyones)).toBe(true);
    expect(untouched(service("new", "192.0.2.0/24", "any", ["admins"]))).toBe(true);
    const named = service("new", "new.internal", "tcp 443", ["sales", "admins"], { serverInitiated: true });
    expect(untouched(named)).toBe(true);
    // One that takes something away from those who have more.
    expect(untouched(service("new", "10.2.0.0/16", "tcp 22", ["admins"]))).toBe(false);
  });

  test.each([
    ["a narrower entry of others keeps this group out", "sales", "10.1.2.3", "tcp", 5432, "drop"],
    ["and leaves it the ports beside", "sales", "10.1.2.3", "tcp", 22, "accept"],
    ["those it names pass", "admins", "10.1.2.3", "tcp", 5432, "accept"],
    ["nothing matches: nothing passes", "sales", "192.0.2.1", "tcp", 80, "drop"],
  ] as const)("%s", (_what, group, to, protocol, port, verdict) => {
    const firewall = firewallOf(planOf([peer(1, "sales"), peer(2, "admins")], services), tunnel);
    const packet = { from: group === "sales" ? "10.200.0.1" : "10.200.0.2", to, protocol, port };
    const sets = setsOf(firewall, () => [], false);
    const fate = fateOf(firewall, { ...packet, iif: "cb0", oif: "ens5" }, sets);
    expect(fate.verdict).toBe(verdict);
  });

  function firstPacket({ group, private: other, opened, protocol, port }: Connection): Packet {
    const { ipv4 = "", ipv6 = "" } = peer(group === "a" ? 1 : 2, group);
    const user = other.includes(":") ? ipv6 : ipv4;
    return opened === "by user"
      ? { from: user, to: other, iif: "cb0", oif: "ens5", protocol, port }
      : { from: other, to: user, iif: "ens5", oif: "cb0", protocol, port };
  }

  function named(spec: ResourceSpec, i: number): ResourceSpec {
    return { ...spec, name: `s${i}` };
  }

  function serving(specs: readonly ResourceSpec[]): Firewall {
    return firewallOf(planOf([peer(1, "a"), peer(2, "b")], specs.map(named)), tunnel);
  }

  function answerTo({ from, to, iif, oif, ...packet }: Packet): Packet {
    return { ...packet, from: to, to: from, iif: oif, oif: iif, isAnswer: true };
  }

  /** The sets as they are when these answers were given, just now or in the step before. */
  function setsOf(firewall: Firewall, resolve: (domain: string) => readonly string[], aged: boolean) {
    const sets = new Map<string, readonly string[]>();
    for (const domain of firewall.domains) {
      for (const { family, now, before } of learnedSets(domain)) {
        const known = resolve(domain).filter((address) => address.includes(":") === (family === 6));
        sets.set(now, aged ? [] : known).set(before, aged ? known : []);
      }
    }
    return sets;
  }
});

test("a domain and its wildcard are one", () => {
  expect(domainKey("*.example.internal")).toBe(domainKey("example.internal"));
});
