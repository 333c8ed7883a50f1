import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { addressOfEndpoint, around } from "../../device/core/around.ts";
import type { Attached } from "../../device/core/attachment.ts";
import { echoTarget, tunnelPlan, withoutIpv6 } from "../../device/core/tunnel-plan.ts";
import { attachedTo, covers, end } from "./tunnel-attached.ts";
import { keyOf } from "./wireguard-model.ts";

describe("destinations with holes", () => {
  test("a destination without a hole stays as it is", () => {
    expect(around(["10.99.0.0/16", "fd99::/64"], ["192.0.2.1"])).toEqual(["10.99.0.0/16", "fd99::/64"]);
  });

  test("everything is two halves, so that nothing of ours is the host's default route", () => {
    expect(around(["0.0.0.0/0", "::/0"], [])).toEqual(["0.0.0.0/1", "128.0.0.0/1", "::/1", "8000::/1"]);
  });

  test("an address is left out of every destination that covers it, and is none itself", () => {
    expect(around(["192.0.2.0/30", "192.0.2.1/32"], ["192.0.2.1"])).toEqual(["192.0.2.0/32", "192.0.2.2/31"]);
    expect(around(["2001:db8::/126"], ["2001:db8::2"])).toEqual(["2001:db8::/127", "2001:db8::3/128"]);
  });

  test("all but the holes is covered, and nothing else", () => {
    const address = fc.array(fc.nat(3), { minLength: 4, maxLength: 4 }).map((bytes) => bytes.join("."));
    const length = fc.nat(32);
    fc.assert(
      fc.property(
        fc.array(fc.tuple(address, length), { maxLength: 5 }),
        fc.array(address, { maxLength: 3 }),
        fc.array(address, { minLength: 20, maxLength: 20 }),
        (nets, holes, probes) => {
          const destinations = nets.map(([first, bits]) => canonical(first, bits));
          const left = around(destinations, holes);
          for (const probe of [...probes, ...holes]) {
            expect(covers(left, probe)).toBe(covers(destinations, probe) && !holes.includes(probe));
          }
        },
      ),
    );
  });

  test("an endpoint's address", () => {
    expect(addressOfEndpoint("192.0.2.1:51820")).toBe("192.0.2.1");
    expect(addressOfEndpoint("[2001:DB8::1]:51820")).toBe("2001:db8::1");
    for (const text of ["", "192.0.2.1", "host.example:1", "2001:db8::1:51820", "[192.0.2.1:5"]) {
      expect(addressOfEndpoint(text)).toBeUndefined();
    }
  });
});

describe("the device's plan", () => {
  test("sends the services and the instance's own end into the tunnel, from the leased addresses", () => {
    expect(tunnelPlan(attachedTo(1), undefined, end)).toEqual({
      peers: [
        {
          publicKey: keyOf(1),
          allowedIps: ["100.64.0.1/32", "fd01::1/128", "10.99.0.0/16", "fd99::/64"],
          endpoint: "192.0.2.1:51820",
          keepaliveS: 25,
        },
      ],
      network: {
        mtu: 1420,
        addresses: ["10.0.1.17/32", "2001:db8:1::11/128"],
        routes: [
          { to: "100.64.0.1/32", source: "10.0.1.17" },
          { to: "fd01::1/128", source: "2001:db8:1::11" },
          { to: "10.99.0.0/16", source: "10.0.1.17" },
          { to: "fd99::/64", source: "2001:db8:1::11" },
        ],
        metric: 32_000,
      },
      names: { servers: ["100.64.0.1", "fd01::1"], domains: ["example.internal"] },
    });
  });

  test("swallows nothing of a family it has no address of", () => {
    const onlyV6: Attached = { ...attachedTo(1), ipv4: undefined };
    const { network, names } = tunnelPlan(onlyV6, undefined, end);
    expect(network.routes.map(({ to }) => to)).toEqual(["fd01::1/128", "fd99::/64"]);
    expect(names?.servers).toEqual(["fd01::1"]);
    expect(echoTarget(onlyV6, end)).toBe("fd01::1");
  });

  test("a path on trial has a peer and nothing else", () => {
    const alone = tunnelPlan(attachedTo(1), undefined, end);
    const both = tunnelPlan(attachedTo(1), attachedTo(2), end);
    expect(both).toEqual({
      ...alone,
      peers: [
        ...alone.peers,
        { publicKey: keyOf(2), allowedIps: [], endpoint: "192.0.2.2:51820", keepaliveS: 25 },
      ],
    });
  });
});

describe("the device's routes", () => {
  test("do not hold the endpoints, of a path on trial neither, nor what is told to stay outside", () => {
    const path = attachedTo(1, { routes: ["192.0.2.0/24", "::/0"], endpoint: "[2001:db8::1]:51820" });
    const plan = tunnelPlan(path, attachedTo(2), end, ["192.0.2.77", "2001:db8::77"]);
    const routes = plan.network.routes.map(({ to }) => to);
    for (const address of ["192.0.2.2", "192.0.2.77", "2001:db8::1", "2001:db8::77"]) {
      expect(covers(routes, address)).toBe(false);
    }
    for (const address of ["192.0.2.1", "192.0.2.3", "2001:db8::2", end.ipv4]) {
      expect(covers(routes, address)).toBe(true);
    }
    // The instance may send from anywhere in the service.
    expect(plan.peers[0]?.allowedIps).toContain("192.0.2.0/24");
  });

  test("of a whole VPC hold the instance's own endpoint in it neither, whichever family dials", () => {
    const vpc = ["172.18.0.0/16", "2600:1f18:2a89:700::/56"];
    for (const endpoint of ["[2600:1f18:2a89:703::4]:51820", "172.18.139.4:51820"]) {
      const { network, peers } = tunnelPlan(attachedTo(1, { routes: vpc, endpoint }), undefined, end);
      const routes = network.routes.map(({ to }) => to);
      const [own, beside] = endpoint.startsWith("[")
        ? ["2600:1f18:2a89:703::4", "2600:1f18:2a89:703::5"]
        : ["172.18.139.4", "172.18.139.5"];
      expect(covers(routes, own)).toBe(false);
      for (const address of [beside, "172.18.16.10", "2600:1f18:2a89:710::a"]) {
        expect(covers(routes, address)).toBe(true);
      }
      expect(peers[0]?.allowedIps).toEqual(expect.arrayContaining(vpc));
    }
  });

  test("a host without IPv6 gets what it can take", () => {
    const { network, names } = withoutIpv6(tunnelPlan(attachedTo(1), undefined, end));
    expect(network.addresses).toEqual(["10.0.1.17/32"]);
    expect(network.routes.map(({ to }) => to)).toEqual(["100.64.0.1/32", "10.99.0.0/16"]);
    expect(names?.servers).toEqual(["100.64.0.1"]);
  });

  test("an attachment without a service has the instance's end alone, and no names", () => {
    const plan = tunnelPlan(attachedTo(1, { routes: [], domains: [], ipv6: undefined }), undefined, end);
    expect(plan.network.routes).toEqual([{ to: "100.64.0.1/32", source: "10.0.1.17" }]);
    expect(plan.names).toBeUndefined();
  });

  test("a domain below another is asked for with it", () => {
    const domains = ["*.corp.internal", "app.corp.internal", "a.b.corp.internal", "other.internal"];
    const plan = tunnelPlan(attachedTo(1, { domains }), undefined, end);
    expect(plan.names?.domains).toEqual(["corp.internal", "other.internal"]);
  });
});

function canonical(first: string, bits: number): string {
  const value = first.split(".").reduce((sum, byte) => sum * 256 + Number(byte), 0);
  const start = value - (value % 2 ** (32 - bits));
  return `${[24, 16, 8, 0].map((shift) => Math.floor(start / 2 ** shift) % 256).join(".")}/${bits}`;
}
