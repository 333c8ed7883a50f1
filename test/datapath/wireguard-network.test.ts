import { describe, expect, test } from "vitest";
import { refusedRoutes, withoutRefused } from "../../agent/core/tunnel-routes.ts";
import { failed, success } from "../../protocol/failures.ts";
import { type NetworkReading, networkChange } from "../../protocol/network.ts";
import { networkReading } from "../../protocol/node/ip-text.ts";
import { NetworkInterface } from "../../protocol/node/network-interface.ts";

/** As `ip -json` of iproute2 6.1 says it. */
const links = JSON.stringify([
  {
    ifname: "lo",
    flags: ["LOOPBACK", "UP"],
    mtu: 65_536,
    addr_info: [{ local: "127.0.0.1", prefixlen: 8, scope: "host" }],
  },
  {},
  {
    ifname: "ens5",
    flags: ["BROADCAST", "MULTICAST", "UP", "LOWER_UP"],
    mtu: 9001,
    addr_info: [
      { local: "10.0.0.12", prefixlen: 20, scope: "global" },
      { local: "fe80::1", prefixlen: 64, scope: "link" },
    ],
  },
  {
    ifname: "connector0",
    flags: ["POINTOPOINT", "NOARP", "UP", "LOWER_UP"],
    mtu: 1420,
    addr_info: [
      { local: "169.254.77.53", prefixlen: 32, scope: "global" },
      { local: "fe80::2", prefixlen: 64, scope: "link" },
    ],
  },
]);
const ipv4 = JSON.stringify([
  { dst: "default", gateway: "10.0.0.1", dev: "ens5", protocol: "dhcp", prefsrc: "10.0.0.12", metric: 512 },
  { dst: "10.0.0.0/20", dev: "ens5", protocol: "kernel", scope: "link", prefsrc: "10.0.0.12" },
  { dst: "10.0.1.16/28", dev: "connector0", protocol: "static", scope: "link" },
  { dst: "10.0.9.9", dev: "connector0", protocol: "kernel", scope: "link" },
  { type: "blackhole", dst: "10.0.4.0/24" },
]);
const ipv6 = JSON.stringify([
  { dst: "2001:db8:1::/80", dev: "connector0", protocol: "static", metric: 1, flags: [], pref: "medium" },
  { dst: "2001:db8:2::/80", dev: "ens5", protocol: "kernel", metric: 256, flags: [], pref: "medium" },
]);

describe("what ip says", () => {
  test("is read, by interface", () => {
    expect(networkReading("connector0", links, { 4: ipv4, 6: ipv6 })).toEqual({
      up: true,
      mtu: 1420,
      addresses: ["169.254.77.53/32"],
      routes: [
        { to: "10.0.1.16/28", source: undefined },
        { to: "2001:db8:1::/80", source: undefined },
      ],
      others: {
        addresses: [
          { what: "10.0.0.12", interface: "ens5" },
          { what: "fe80::1", interface: "ens5" },
        ],
        gateways: [{ what: "10.0.0.1", interface: "ens5" }],
        routes: [
          { what: "0.0.0.0/0", interface: "ens5", metric: 512 },
          { what: "10.0.0.0/20", interface: "ens5", metric: 0 },
          { what: "10.0.4.0/24", interface: "blackhole", metric: 0 },
          { what: "2001:db8:2::/80", interface: "ens5", metric: 256 },
        ],
      },
    });
    expect(networkReading("connector1", links, { 4: "", 6: "[]" })).toBeUndefined();
  });

  test.each(["ip: unrecognised option", "{}", '["x"]', '[{"ifname":"connector0"}]', "null"])(
    "is a failure where it is not understood: %s",
    async (text) => {
      const network = new NetworkInterface("connector0", async () => success(text));
      expect(await network.read()).toMatchObject({ ok: false, failure: { code: "datapath.failing" } });
    },
  );

  test("of several commands that failed, the first is told", async () => {
    const error = "Error: x.; Command failed -:2; Error: y.; Command failed -:3";
    const network = new NetworkInterface("connector0", async (argv) => {
      if (argv.includes("-batch")) return failed("datapath.failing", { command: argv.join(" "), error });
      return success(argv.includes("address") ? links : "[]");
    });
    const routes = ["10.0.1.16/28", "10.0.2.16/28"].map((to) => ({ to, source: undefined }));
    expect(await network.apply({ mtu: 1400, addresses: ["169.254.77.53/32"], routes })).toMatchObject({
      failure: { facts: { line: "route replace 10.0.1.16/28 dev connector0 proto static metric 0" } },
    });
  });
});

describe("the host's own network", () => {
  const held = networkReading("connector0", links, { 4: ipv4, 6: ipv6 }) as NetworkReading;
  const plan = (...prefixes: string[]) => ({
    ...{ mtu: 1420, addresses: ["169.254.77.53/32"] },
    routes: prefixes.map((to) => ({ to, source: undefined })),
  });

  test.each([
    ["10.0.0.0/28", "holds 10.0.0.12 of ens5"],
    ["10.0.0.1/32", "holds 10.0.0.1 of ens5"],
    ["0.0.0.0/0", "holds 10.0.0.12 of ens5"],
    ["10.0.4.0/24", "is a route of blackhole"],
    ["fe80::/64", "holds fe80::1 of ens5"],
    ["nonsense", "is no prefix"],
  ])("%s is not routed into the tunnel: %s", (to, why) => {
    const wanted = plan(to, "10.0.1.16/28", "2001:db8:1::/80");
    const refused = refusedRoutes(held, wanted);
    expect(refused).toEqual([{ to, why }]);
    expect(networkChange("connector0", held, withoutRefused(wanted, refused))).toEqual([]);
  });

  test("a route of another interface stays its own where ours would have the same metric", () => {
    const same = {
      ...plan("2001:db8:2::/80", "10.0.0.0/20", "10.0.1.16/28", "2001:db8:1::/80"),
      metric: 256,
    };
    expect(networkChange("connector0", held, same)).toEqual([
      "route replace 10.0.0.0/20 dev connector0 proto static metric 256",
    ]);
  });
});
