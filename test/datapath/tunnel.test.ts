import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { DataPathPeer, DataPathPlan } from "../../agent/core/ports.ts";
import { callBack, tunnelPlan } from "../../agent/core/tunnel.ts";
import { tunnelDrift } from "../../agent/core/tunnel-drift.ts";
import { TunnelTraffic } from "../../agent/core/tunnel-traffic.ts";
import { type NetworkPlan, type NetworkReading, networkChange, tunnelMtu } from "../../protocol/network.ts";
import type { PeerReading, WireguardReading } from "../../protocol/wireguard.ts";
import { keyOf, neverHeard, peer, planOf } from "./wireguard-model.ts";

const alone = { addresses: [], gateways: [], routes: [] };
const settings = { addresses: ["169.254.77.1/32"], pathMtu: 1500 };
const granted = (n: number, ipv4?: string, ipv6?: string): DataPathPeer => ({
  ...{ session: `s${n}`, wireguardKey: keyOf(n), group: "staff", ipv4, ipv6 },
});
const dataPath = (...peers: DataPathPeer[]): DataPathPlan => ({
  ...{ routes: ["10.0.1.16/28", "2001:db8:1::/80"], peers, resources: new Map(), dns: undefined },
});
const peersOf = (...peers: DataPathPeer[]) => tunnelPlan(dataPath(...peers), settings).peers;

describe("the tunnel's plan", () => {
  test("a peer has exactly the addresses of its session", () => {
    expect(peersOf(granted(1, "10.0.1.17", "2001:db8:1::11"), granted(2, "10.0.1.18"))).toEqual([
      peer(1, "10.0.1.17/32", "2001:db8:1::11/128"),
      peer(2, "10.0.1.18/32"),
    ]);
  });

  test("the prefixes are routed into it and stand on no interface", () => {
    expect(tunnelPlan(dataPath(), settings).network).toEqual({
      mtu: 1420,
      addresses: ["169.254.77.1/32"],
      routes: [
        { to: "10.0.1.16/28", source: undefined },
        { to: "2001:db8:1::/80", source: undefined },
      ],
    });
  });

  test("two sessions of one key are one peer", () => {
    const second = { ...granted(1, "10.0.1.18"), session: "other" };
    const plan = tunnelPlan(dataPath(granted(1, "10.0.1.17"), second), settings);
    expect(plan.peers).toEqual([peer(1, "10.0.1.17/32", "10.0.1.18/32")]);
    expect(plan.sessionsOf.get(keyOf(1))).toEqual(["s1", "other"]);
  });

  test("an address that two devices claim goes to neither", () => {
    const plan = tunnelPlan(
      dataPath(granted(1, "10.0.1.17", "2001:db8:1::11"), granted(2, "10.0.1.17")),
      settings,
    );
    expect(plan.peers).toEqual([peer(1, "2001:db8:1::11/128"), peer(2)]);
    expect(plan.contested).toEqual(["10.0.1.17/32"]);
  });

  test("no address is ever in two peers", () => {
    const some = fc.record({ n: fc.integer({ min: 1, max: 5 }), host: fc.integer({ min: 16, max: 24 }) });
    fc.assert(
      fc.property(fc.array(some), (claims) => {
        const ips = peersOf(...claims.map(({ n, host }) => granted(n, `10.0.1.${host}`))).flatMap(
          ({ allowedIps }) => allowedIps,
        );
        expect(new Set(ips).size).toBe(ips.length);
      }),
    );
  });

  test.each([
    [1500, 1420],
    [9001, 1420],
    [1400, 1320],
    [1300, 1280],
  ])("over a path of %i bytes the tunnel takes %i", (path, tunnel) => {
    expect(tunnelMtu(path)).toBe(tunnel);
  });

  test("peers are called back where they were last heard", () => {
    const endpoints = new Map([[keyOf(1), "192.0.2.7:40000"]]);
    expect(callBack([peer(1, "10.0.1.17/32"), peer(2)], endpoints)).toEqual([
      { ...peer(1, "10.0.1.17/32"), endpoint: "192.0.2.7:40000", keepaliveS: 1 },
      peer(2),
    ]);
  });
});

describe("the commands for the network layer", () => {
  const wanted: NetworkPlan = {
    mtu: 1420,
    addresses: ["10.0.1.17/32", "2001:db8:1::11/128"],
    routes: [
      { to: "10.99.0.0/16", source: "10.0.1.17" },
      { to: "fd99::/64", source: "2001:db8:1::11" },
    ],
  };
  const held = (reading: Partial<NetworkReading>): NetworkReading => ({
    ...{ up: true, ...wanted, others: alone },
    ...reading,
  });

  test("for a new interface", () => {
    const fresh = { up: false, mtu: 1500, addresses: [], routes: [], others: alone };
    expect(networkChange("connector0", fresh, wanted)).toMatchInlineSnapshot(`
      [
        "link set dev connector0 addrgenmode none",
        "link set dev connector0 mtu 1420",
        "link set dev connector0 up",
        "address replace 10.0.1.17/32 dev connector0",
        "address replace 2001:db8:1::11/128 dev connector0 nodad",
        "route replace 10.99.0.0/16 dev connector0 src 10.0.1.17 proto static metric 0",
        "route replace fd99::/64 dev connector0 src 2001:db8:1::11 proto static metric 1",
      ]
    `);
  });

  test("for a move to other addresses: new routes before old addresses go", () => {
    const before = held({
      addresses: ["10.0.2.5/32"],
      routes: [
        { to: "10.99.0.0/16", source: "10.0.2.5" },
        { to: "10.98.0.0/16", source: "10.0.2.5" },
      ],
    });
    expect(networkChange("connector0", before, wanted)).toMatchInlineSnapshot(`
      [
        "address replace 10.0.1.17/32 dev connector0",
        "address replace 2001:db8:1::11/128 dev connector0 nodad",
        "route replace 10.99.0.0/16 dev connector0 src 10.0.1.17 proto static metric 0",
        "route replace fd99::/64 dev connector0 src 2001:db8:1::11 proto static metric 1",
        "route del 10.98.0.0/16 dev connector0",
        "address del 10.0.2.5/32 dev connector0",
      ]
    `);
  });

  test("none where all is as it should be, in whatever order", () => {
    expect(networkChange("connector0", held({ routes: wanted.routes.toReversed() }), wanted)).toEqual([]);
  });
});

describe("what differs from the plan", () => {
  const wanted = {
    wireguard: planOf([peer(1, "10.0.1.17/32"), peer(2, "10.0.1.18/32")]),
    network: { mtu: 1420, addresses: [], routes: [{ to: "10.0.1.16/28", source: undefined }] },
  };
  const reading = (publicKey: string, ...peers: ReturnType<typeof peer>[]): WireguardReading => ({
    publicKey,
    listenPort: 51_820,
    fwmark: 0,
    peers: new Map(peers.map((entry) => [entry.publicKey, { ...entry, ...neverHeard }])),
  });

  test("is named", () => {
    const held = {
      wireguard: reading(keyOf(7), peer(1, "10.0.1.30/32"), peer(9)),
      network: { up: true, mtu: 1420, addresses: [], routes: [], others: alone },
    };
    expect(tunnelDrift("connector0", held, wanted)).toEqual([
      "connector0 lacks the route 10.0.1.16/28",
      "connector0 has another private key",
      "connector0 lacks 1 peer",
      "connector0 has 1 changed peer",
      "connector0 has 1 peer besides",
    ]);
  });

  test("is nothing where nothing does", () => {
    const held = {
      wireguard: reading(keyOf(100), ...wanted.wireguard.peers),
      network: { up: true, ...wanted.network, others: alone },
    };
    expect(tunnelDrift("connector0", held, wanted)).toEqual([]);
  });
});

describe("when a device was heard", () => {
  const sessionsOf = new Map([[keyOf(1), ["s1"]]]);
  const now = (s: number) => ({ monotonicMs: s * 1000, wallMs: 1_800_000_000_000 + s * 1000 });
  const heard = (traffic: TunnelTraffic, s: number, reading: Partial<PeerReading>, clockStepMs = 0) => {
    const entry: PeerReading = { ...peer(1), ...neverHeard, ...reading };
    const wireguard = {
      publicKey: keyOf(100),
      listenPort: 1,
      fwmark: 0,
      peers: new Map([[keyOf(1), entry]]),
    };
    const { monotonicMs, wallMs } = now(s);
    return traffic.take(wireguard, sessionsOf, { monotonicMs, wallMs: wallMs + clockStepMs }).get("s1")
      ?.heardAtMs;
  };

  test("never, then at its handshake, then whenever more bytes have come", () => {
    const traffic = new TunnelTraffic();
    expect(heard(traffic, 100, {})).toBeUndefined();
    const handshakeAtS = 1_800_000_110;
    expect(heard(traffic, 120, { handshakeAtS, rxBytes: 0 })).toBe(110_000);
    expect(heard(traffic, 135, { handshakeAtS, rxBytes: 500 })).toBe(135_000);
    expect(heard(traffic, 150, { handshakeAtS, rxBytes: 500 })).toBe(135_000);
  });

  test("a clock that steps makes nobody vanish and nobody appear", () => {
    const traffic = new TunnelTraffic();
    const handshakeAtS = 1_800_000_100;
    expect(heard(traffic, 110, { handshakeAtS })).toBe(100_000);
    expect(heard(traffic, 120, { handshakeAtS }, 3_600_000)).toBe(100_000);
    expect(heard(traffic, 130, { handshakeAtS }, -3_600_000)).toBe(100_000);
    expect(heard(traffic, 3_000, { handshakeAtS }, -3_600_000)).toBe(100_000);
  });

  test("counters that begin again after a restart are no sign of life", () => {
    const traffic = new TunnelTraffic();
    heard(traffic, 110, { handshakeAtS: 1_800_000_100, rxBytes: 5_000 });
    expect(heard(traffic, 120, { rxBytes: 0 })).toBe(100_000);
  });
});
