import { describe, expect, test } from "vitest";
import { resolverFiles } from "../../agent/core/resolver.ts";
import { type Heard, ResolverHealth } from "../../agent/core/resolver-health.ts";
import {
  askAgainMs,
  askedMax,
  KeptNames,
  type NameQuestion,
  spareMs,
} from "../../agent/core/resolver-names.ts";
import { UpstreamHealth } from "../../agent/core/resolver-upstreams.ts";
import { service, tunnel } from "./firewall-plans.ts";

const place = {
  tunnel,
  serversFile: "/run/connector/dnsmasq.servers",
  pidFile: "/run/connector/dnsmasq.pid",
  user: "connector",
};
const dns = { primary: "10.0.0.2", secondary: "10.0.0.3", primaryIpv6: "fd00::2", secondaryIpv6: "fd00::3" };

test("the whole configuration of a connector with domains inside each other", async () => {
  const services = [
    service("all", "*.example.internal", "any", ["staff"]),
    service("app", "app.example.internal", "tcp 443", ["staff"]),
    service("app again", "*.app.example.internal", "tcp 80", ["staff"]),
    service("other", "notexample.internal", "tcp 80", ["staff"]),
    service("network", "10.0.0.0/8", "any", ["staff"]),
  ];
  const { config, servers } = resolverFiles(dns, services, place);
  await expect(config).toMatchFileSnapshot("golden/dnsmasq.conf");
  expect(servers).toBe("server=10.0.0.2\nserver=fd00::2\nserver=10.0.0.3\nserver=fd00::3\n");
});

test("one family, one server", () => {
  const { config, servers } = resolverFiles({ primary: "10.0.0.2" }, [], {
    ...place,
    tunnel: { ...tunnel, ipv6: undefined },
  });
  expect(config).toContain("listen-address=100.64.0.1\n");
  expect(servers).toBe("server=10.0.0.2\n");
});

test("servers that do not answer come last, in their own order, and none is left out", () => {
  const { servers } = resolverFiles(dns, [], place, new Set(["10.0.0.2", "fd00::2"]));
  expect(servers).toBe("server=10.0.0.3\nserver=fd00::3\nserver=10.0.0.2\nserver=fd00::2\n");
});

test("no line is longer than dnsmasq reads, however deep the domains lie in each other", () => {
  const label = "a-label-of-quite-some-length";
  const services = Array.from({ length: 8 }, (_, i) =>
    service(`s${i}`, `${`${label}.`.repeat(i + 1)}internal`, "any", ["staff"]),
  );
  const { config } = resolverFiles(dns, services, place);
  for (const line of config.split("\n")) expect(Buffer.byteLength(line)).toBeLessThan(1024);
});

test("a server is silent after two misses in a row, and asked first again after three answers in a row", () => {
  const health = new UpstreamHealth();
  const probes = (text: string) =>
    [...text].map((result) => {
      health.probed(new Map([["10.0.0.2", result === "+"]]));
      return health.silent.has("10.0.0.2") ? "s" : ".";
    });
  expect(probes("+-+--+++-+--").join("")).toBe("....sss....s");
  expect(health.probed(new Map([["10.0.0.3", true]]))).toBe(true);
  expect([...health.silent]).toEqual([]);
  expect(health.probed(new Map([["10.0.0.3", true]]))).toBe(false);
});

test("a resolver that runs is started anew after two misses in a row, and then has longer to answer each time", () => {
  const health = new ResolverHealth();
  health.began(0);
  expect(health.isDue(1_999)).toBe(false);
  expect(health.isDue(2_000)).toBe(true);
  expect(health.heard("silence", 2_000)).toBe(false);
  expect(health.heard("answer", 4_000)).toBe(false);
  expect(health.heard("silence", 6_000)).toBe(false);
  expect(health.problem).toBeUndefined();
  expect(health.heard("silence", 8_000)).toBe(true);
  expect(health.problem).toBe("it runs and does not answer");
  health.began(8_000);
  expect(health.isDue(11_999)).toBe(false);
  expect(health.heard("silence", 12_000)).toBe(false);
  expect(health.heard("silence", 14_000)).toBe(true);
  health.began(14_000);
  expect(health.isDue(21_999)).toBe(false);
  expect(health.problem).toBe("it runs and does not answer");
  expect(health.heard("answer", 22_000)).toBe(false);
  expect(health.problem).toBeUndefined();
  health.began(22_000);
  expect(health.isDue(24_000)).toBe(true);
});

test("an address that is on no interface is told, and no reason to start anything", () => {
  const health = new ResolverHealth();
  health.began(0);
  for (const nowMs of [2_000, 4_000, 6_000]) expect(health.heard("no such address here", nowMs)).toBe(false);
  expect(health.problem).toBe("its address is on no interface");
  expect(health.heard("silence", 8_000)).toBe(false);
  expect(health.heard("answer", 10_000)).toBe(false);
  expect(health.problem).toBeUndefined();
});

describe("names that are kept known", () => {
  const many = (count: number) => new Set(Array.from({ length: count }, (_, i) => `n${i}.internal`));
  const one = new Set(["app.internal"]);
  const namesOf = (questions: readonly NameQuestion[]) => questions.map(({ name }) => name);

  /** One look a second for so long; each question is answered at once. What was asked in each second. */
  function run(kept: KeptNames, names: ReadonlySet<string>, seconds: number, heard: Heard): string[][] {
    return Array.from({ length: seconds }, (_, second) => {
      const questions = kept.next(names, 1, second * 1_000);
      for (const question of questions) kept.heard(question, heard, second * 1_000);
      return namesOf(questions);
    });
  }

  test.each([0, 0.5, 0.999])("are asked for before what was learned is forgotten (%d)", (random) => {
    const asked = run(new KeptNames(() => random), one, 3_600, "answer");
    const seconds = asked.flatMap((names, second) => (names.length > 0 ? [second] : []));
    const gaps = seconds.slice(1).map((second, i) => second - (seconds[i] ?? 0));
    expect(Math.max(...gaps) * 1_000).toBeLessThanOrEqual(askAgainMs.max);
    expect(Math.min(...gaps) * 1_000).toBeGreaterThanOrEqual(askAgainMs.min);
    // Time for several lost questions.
    expect(spareMs).toBeGreaterThanOrEqual(20_000);
  });

  test("are asked for when they are new, and after a start of the resolver, and not while there is none", () => {
    const kept = new KeptNames(() => 0);
    expect(kept.next(one, undefined, 0)).toEqual([]);
    const [first] = kept.next(one, 7, 1_000);
    expect(first?.name).toBe("app.internal");
    expect(kept.next(one, 7, 1_500)).toEqual([]);
    // The answer of a process that is gone is nothing that the next one learned.
    expect(namesOf(kept.next(one, 8, 2_000))).toEqual(["app.internal"]);
    if (first !== undefined) kept.heard(first, "answer", 2_100);
    const two = new Set([...one, "new.internal"]);
    expect(namesOf(kept.next(two, 8, 3_000))).toEqual(["new.internal"]);
    expect(kept.next(new Set(), 8, 4_000)).toEqual([]);
    expect(namesOf(kept.next(one, 8, 5_000))).toEqual(["app.internal"]);
  });

  test("200 of them are no storm: some a second, all within seconds, and spread afterwards", () => {
    let draws = 0;
    const kept = new KeptNames(() => (draws++ * 0.618) % 1);
    const asked = run(kept, many(200), 1_000, "answer");
    expect(Math.max(...asked.map((names) => names.length))).toBe(askedMax);
    expect(new Set(asked.slice(0, 10).flat()).size).toBe(200);
    expect(Math.max(...asked.slice(600).map((names) => names.length))).toBeLessThan(askedMax / 2);
  });

  test("no more than the bound are under question at a time, however slow the answers", () => {
    const kept = new KeptNames(() => 0);
    const questions = kept.next(many(200), 1, 0);
    expect(questions).toHaveLength(askedMax);
    expect(kept.next(many(200), 1, 1_000)).toEqual([]);
    for (const question of questions.slice(0, 3)) kept.heard(question, "silence", 1_500);
    expect(kept.next(many(200), 1, 2_000)).toHaveLength(3);
  });

  test.each(["silence", "refusal"] as const)("are asked for less and less often upon %s", (heard) => {
    const asked = run(new KeptNames(() => 0.999), one, 400, heard);
    const seconds = asked.flatMap((names, second) => (names.length > 0 ? [second] : []));
    expect(seconds).toEqual([0, 4, 12, 28, 60, 120, 180, 240, 300, 360]);
  });
});

test("what is no address of a server never reaches dnsmasq's file", () => {
  const { servers } = resolverFiles({ ...dns, secondary: "10.0.0.3\nserver=/internal/192.0.2.1" }, [], place);
  expect(servers).toBe("server=10.0.0.2\nserver=fd00::2\nserver=fd00::3\n");
});
