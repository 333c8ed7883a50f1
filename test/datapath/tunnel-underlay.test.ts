import { describe, expect, onTestFinished, test } from "vitest";
import { startTunnel } from "../../device/tunnel.ts";
import { makeWireguardKey } from "../../protocol/node/keys.ts";
import { noNamespaces, pings, reaches, runIn } from "../support/namespaces.ts";
import { until } from "../support/until.ts";
import { end } from "./tunnel-attached.ts";
import { application, tunnelWorld } from "./tunnel-hosts.ts";

type World = Awaited<ReturnType<typeof tunnelWorld>>;

const title =
  noNamespaces === undefined ? "the tunnel and its host" : `the tunnel and its host (${noNamespaces})`;

describe.skipIf(noNamespaces)(title, () => {
  test("everything in the tunnel, but not the tunnel itself, nor what is to stay outside", async () => {
    const world = await tunnelWorld();
    const { device, tunnel, first } = world;
    const inDevice = (...argv: string[]) => runIn(device.namespace, ...argv);
    await inDevice("ip", "route", "add", "default", "via", "10.77.1.1");
    // Strict: a packet must come in where an answer to it would leave.
    await inDevice("sysctl", "-qw", "net.ipv4.conf.all.rp_filter=1", "net.ipv4.conf.default.rp_filter=1");
    await first.admit();
    tunnel.want({ ...first.attachment, routes: ["0.0.0.0/0", "10.77.0.0/16", "::/0"] });
    await tunnel.outside(["203.0.113.10"]);
    await until("alive", () => world.verdicts.includes("1 alive"));
    expect(await reaches(device.namespace, application)).toBe(true);
    const wayTo = async (address: string) =>
      /dev (\S+)/.exec(await inDevice("ip", "route", "get", address))?.[1] === device.name ? "in" : "out";
    expect(await wayTo("198.51.100.1")).toBe("in");
    expect(await wayTo("2001:db8:99::1")).toBe("in");
    expect(await wayTo("10.77.1.1")).toBe("out");
    expect(await wayTo("203.0.113.10")).toBe("out");
    expect(await wayTo("203.0.113.11")).toBe("in");
    await tunnel.outside(["203.0.113.11"]);
    expect(await wayTo("203.0.113.10")).toBe("in");
    expect(await wayTo("203.0.113.11")).toBe("out");
    await gone(world);
    expect(await inDevice("ip", "route", "show", "default")).toContain("via 10.77.1.1");
    expect(await wayTo("203.0.113.11")).toBe("out");
  });

  test("a service that is the host's own network replaces nothing of it", async () => {
    const world = await tunnelWorld();
    const { device, tunnel, first, second } = world;
    // Another cable: that of the first would hold the endpoint.
    world.hosts.connect(device.namespace, ["192.168.50.2/24"], second.host.namespace, ["192.168.50.1/24"]);
    const routes = () => runIn(device.namespace, "ip", "route", "show", "proto", "kernel");
    const before = await routes();
    await first.admit();
    tunnel.want({ ...first.attachment, routes: ["192.168.50.0/24", `${application}/32`] });
    await until("alive", () => world.verdicts.includes("1 alive"));
    expect(await reaches(device.namespace, application)).toBe(true);
    expect(await routes()).toBe(before);
    // Behind it, for when the network is another.
    const both = await runIn(device.namespace, "ip", "route", "show", "192.168.50.0/24");
    expect(both).toMatch(new RegExp(`dev ${device.name} .*metric 32000`));
    await gone(world);
    expect(await routes()).toBe(before);
  });

  test("a host that has IPv6 switched off carries IPv4", async () => {
    const world = await tunnelWorld();
    const off = ["all", "default"].map((which) => `net.ipv6.conf.${which}.disable_ipv6=1`);
    await runIn(world.device.namespace, "sysctl", "-qw", ...off);
    await world.first.admit();
    world.tunnel.want(world.first.attachment);
    await until("alive", () => world.verdicts.includes("1 alive"));
    expect(await reaches(world.device.namespace, application)).toBe(true);
  });

  test("an instance that is dialled over IPv6, for IPv6 alone", async () => {
    const world = await tunnelWorld();
    const { device, first, tunnel } = world;
    await runIn(first.host.namespace, "ip", "address", "add", "2001:db8:77::1/64", "dev", "lo", "nodad");
    const link = await runIn(device.namespace, "ip", "-br", "link", "show", "type", "veth");
    const [side = ""] = link.split(/[@\s]/);
    await runIn(device.namespace, "ip", "address", "add", "2001:db8:78::2/64", "dev", side, "nodad");
    const there = (await runIn(first.host.namespace, "ip", "-br", "link", "show", "type", "veth")).split(
      /[@\s]/,
    )[0];
    await runIn(
      first.host.namespace,
      "ip",
      "address",
      "add",
      "2001:db8:78::1/64",
      "dev",
      `${there}`,
      "nodad",
    );
    await runIn(device.namespace, "ip", "-6", "route", "add", "2001:db8:77::/64", "via", "2001:db8:78::1");
    await first.admit();
    const endpoint = "[2001:db8:77::1]:51820";
    tunnel.want({ ...first.attachment, ipv4: undefined, endpoint, routes: ["2001:db8::/32"] });
    await until("alive", () => world.verdicts.includes("1 alive"));
    expect(await reaches(device.namespace, end.ipv6)).toBe(true);
  });

  test("a second device of the host does not take the first one's interface, nor remove it", async () => {
    const world = await tunnelWorld();
    const { device, tunnel, first, second, options } = world;
    await first.admit();
    tunnel.want(first.attachment);
    await until("alive", () => world.verdicts.includes("1 alive"));
    const problems: string[] = [];
    const other = startTunnel({
      ...options,
      key: makeWireguardKey(),
      onVerdict: () => undefined,
      onProblem: (problem) => problems.push(problem?.code ?? "fine"),
    });
    onTestFinished(() => other[Symbol.dispose]());
    other.want(undefined);
    other.want(second.attachment);
    await until("told", () => problems.includes("tunnel.name-taken"));
    other.want(undefined);
    await until("fine", () => problems.at(-1) === "fine");
    expect(await reaches(device.namespace, application)).toBe(true);
    expect(world.verdicts).toEqual(["1 alive"]);
  });

  test("what others took away from the interface comes back", async () => {
    const world = await tunnelWorld();
    const { device, tunnel, first } = world;
    await first.admit();
    tunnel.want(first.attachment);
    await until("alive", () => world.verdicts.includes("1 alive"));
    await tunnel.outside([]);
    await runIn(device.namespace, "ip", "route", "flush", "dev", device.name, "proto", "static");
    await runIn(device.namespace, "ip", "address", "flush", "dev", device.name);
    await until("traffic", () => pings(device.namespace, application));
  });
});

async function gone({ tunnel, device }: World): Promise<void> {
  tunnel.want(undefined);
  await until("gone", async () => {
    return !(await runIn(device.namespace, "ip", "-json", "link")).includes(`"${device.name}"`);
  });
}
