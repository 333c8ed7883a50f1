import { expect, test } from "vitest";
import { resolverFiles } from "../../agent/core/resolver.ts";
import { ResolverHealth } from "../../agent/core/resolver-health.ts";
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

test("what is no address of a server never reaches dnsmasq's file", () => {
  const { servers } = resolverFiles({ ...dns, secondary: "10.0.0.3\nserver=/internal/192.0.2.1" }, [], place);
  expect(servers).toBe("server=10.0.0.2\nserver=fd00::2\nserver=fd00::3\n");
});
