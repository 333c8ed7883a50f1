import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { judgeForwarding } from "../../agent/cli/check/datapath/forwarding.ts";
import { judgeInterface } from "../../agent/cli/check/datapath/interface.ts";
import { judgeLimits } from "../../agent/cli/check/datapath/limits.ts";
import { judgePrograms } from "../../agent/cli/check/datapath/programs.ts";
import { judgeWireguard, type WireguardSeen } from "../../agent/cli/check/datapath/wireguard.ts";
import type { Line } from "../../agent/cli/check/line.ts";
import { createVpc } from "../../lab/vpc/vpc.ts";
import { failed, success } from "../../protocol/failures.ts";
import { instanceEnd } from "../../protocol/tunnel.ts";
import { imdsOf, obstacle, shell, title } from "../lab/vpc-fixture.ts";
import { temporaryFolder } from "../support/folder.ts";
import { pings, runIn, TestHosts } from "../support/namespaces.ts";
import { until } from "../support/until.ts";

// The check is of instances that are namespaces of their own.
vi.stubEnv("CONNECTOR_DATAPATH", "kernel");

const main = join(import.meta.dirname, "../../agent/cli/main.ts");
const hostSetup = join(import.meta.dirname, "../../scripts/host-setup.sh");
const prefixes = { ipv4: "172.18.139.16/28", ipv6: "2600:1f18:2a89:703:275::/80" } as const;
const gateway = "172.18.128.1";
const user = "172.18.139.17";

/**
 * An instance of the lab's VPC, whose tunnel is a plain cable with a user at its end: what the kernel forwards does not
 * depend on who carries the tunnel.
 */
async function instanceWithUser(folder: string) {
  await using stack = new AsyncDisposableStack();
  const vpc = stack.use(await createVpc({ name: "check", folder }));
  const imds = await imdsOf(1);
  stack.defer(() => imds[Symbol.asyncDispose]());
  const instance = await vpc.addInstance("agent", imds);
  instance.imds.assignPrefix(prefixes.ipv4);
  instance.imds.assignPrefix(prefixes.ipv6);
  await vpc.settled();
  const hosts = stack.use(new TestHosts());
  const device = hosts.add("user");
  const parameters = { controller: "http://127.0.0.1:1", ip: instance.addresses.ipv4, gateway };
  const lines = Object.entries(parameters).map(([name, value]) => `${name}: ${value}\n`);
  writeFileSync(join(folder, "enroll.yaml"), lines.join(""));
  const stateDir = join(folder, "none");
  const check = async (...user: string[]) => {
    const files = ["--parameters", join(folder, "enroll.yaml"), "--state-dir", stateDir];
    const command = [...user, process.execPath, main, "check", ...files, "-o", "json"];
    const { lines } = JSON.parse(await shell(instance, `COLUMNS=80 ${command.join(" ")}`)) as {
      lines: Line[];
    };
    return (name: string) => lines.find((line) => line.name === name);
  };
  const owned = stack.move();
  return {
    check,
    stateDir,
    change: async (script: string) => expect(await shell(instance, `set -e; ${script}`)).toBe(""),
    /** Whether an echo of the user's reaches the VPC and its answer the user. */
    passes: () => pings(device, gateway, "-I", user),
    sendToNobody: () => pings(device, "172.18.139.30", "-I", user, "-t", "64"),
    shell: (script: string) => shell(instance, script),
    makeTunnel: async () => {
      await runIn(
        device,
        "ip",
        "link",
        "add",
        "u0",
        "type",
        "veth",
        "peer",
        "name",
        "connector0",
        "netns",
        instance.namespace,
      );
      const commands = [
        "link set u0 up",
        `address add ${user}/32 dev u0`,
        `route add default via ${instanceEnd.ipv4} dev u0 onlink`,
      ];
      for (const command of commands) await runIn(device, "ip", ...command.split(" "));
      await shell(
        instance,
        `ip address add ${instanceEnd.ipv4}/32 dev connector0; ip link set connector0 up; ip route add ${prefixes.ipv4} dev connector0; ip route add ${prefixes.ipv6} dev connector0`,
      );
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

test.skipIf(obstacle !== undefined)(
  title("what the check says of the host is what packets do"),
  { timeout: 120_000 },
  async () => {
    using folder = temporaryFolder();
    await using here = await instanceWithUser(folder.path);
    type Expected = readonly [name: string, result: Line["result"], text?: string];
    const see = async (passes: boolean, lines: readonly Expected[], asUser: readonly string[] = []) => {
      const line = await here.check(...asUser);
      for (const [name, result, text = ""] of lines) {
        expect(line(name), name).toMatchObject({ result, text: expect.stringContaining(text) });
        if (result === "FAIL" || result === "warn") expect(line(name)?.action, name).not.toBe("");
      }
      if (passes) await until("a user's packet passes", here.passes);
      else expect(await here.passes()).toBe(false);
      return line;
    };

    await here.change("ip link set ens5 mtu 1400");
    const kernel = "sysctl -ar '^net[.]ipv[46]' 2>/dev/null; ip -br address; ip rule; nft list ruleset";
    const before = await here.shell(kernel);
    const fresh = await see(false, [
      ["interface", "warn", "ens5 has MTU 1400"],
      ["IPv4 forwarding", "FAIL", "net.ipv4.ip_forward=0"],
      ["IPv6 forwarding", "FAIL"],
      ["IPv6 route", "ok", "configured"],
      ["port 53", "warn", "CAP_NET_BIND_SERVICE"],
      ["users' way out", "skip", "forwarding"],
      ["WireGuard", "ok"],
      ["nft", "ok"],
      ["forward filters", "ok"],
    ]);
    expect(fresh("IPv4 forwarding")?.action).toContain("sysctl -w net.ipv4.ip_forward=1");
    expect(await here.shell(kernel), "the check changed something").toBe(before);

    await here.makeTunnel();
    await here.change("ip link set ens5 mtu 9001");
    // The machine's own /etc stays as it is.
    const ownEtc = "for d in sysctl.d modules-load.d; do mkdir -p /etc/$d; mount -t tmpfs none /etc/$d; done";
    const setUp = await here.shell(`unshare -m sh -c '${ownEtc}; ${hostSetup} && ${hostSetup} --check'`);
    expect(setUp).toContain("applied   /etc/sysctl.d/60-connector.conf");
    await see(true, [
      ["interface", "ok", "ens5, MTU 9001"],
      ["WireGuard", "FAIL", "not WireGuard"],
      ["IPv4 forwarding", "ok"],
      ["IPv6 forwarding", "ok"],
      ["rp_filter", "ok", "loose"],
      ["port 53", "ok"],
      ["users' way out", "ok", "by ens5"],
      ["users' way in", "ok", "into the tunnel"],
      ["user to user", "ok"],
      ["policy rules", "ok", "none"],
    ]);

    await here.change("sysctl -qw net.ipv4.conf.connector0.forwarding=0");
    await see(false, [["IPv4 forwarding", "FAIL", "net.ipv4.conf.connector0.forwarding=0"]]);
    await here.change("sysctl -qw net.ipv4.conf.connector0.forwarding=1");

    const strict = "for i in all ens5 connector0; do sysctl -qw net.ipv4.conf.$i.rp_filter=1; done";
    const loose = "sysctl -qw net.ipv4.conf.all.rp_filter=2";
    await here.change(strict);
    await see(true, [["rp_filter", "ok", "strict, enough"]]);
    await here.change(loose);

    // As amazon-ec2-net-utils does it for a further interface.
    await here.change(
      `ip route add default via ${gateway} dev ens5 table 10001; ip rule add priority 10001 from ${prefixes.ipv4} lookup 10001`,
    );
    const ruled = await see(true, [
      ["users' way out", "ok", "by ens5"],
      ["users' way in", "ok"],
      ["user to user", "warn", "leaves by ens5"],
      ["policy rules", "ok", `10001: from ${prefixes.ipv4} lookup 10001 (amazon-ec2-net-utils)`],
    ]);
    const sent = async () => {
      const count = async () => Number(await here.shell("cat /sys/class/net/ens5/statistics/tx_packets"));
      const begin = await count();
      await here.sendToNobody();
      return (await count()) - begin;
    };
    await until("one packet goes round and round", async () => (await sent()) > 20);
    await here.change(ruled("user to user")?.action ?? "false");
    expect(await sent()).toBeLessThan(10);
    const nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "env", "-i"];
    const seenByNobody: readonly Expected[] = [
      ["user to user", "ok"],
      ["users' way out", "ok"],
      ["IPv4 forwarding", "ok"],
      ["nft", "ok"],
      ["forward filters", "skip", "needs root"],
    ];
    await see(true, seenByNobody, nobody);

    // A second interface by which everything leaves: strict then drops the answers too.
    await here.change(
      `ip link add ens6 type veth peer name other; ip link set ens6 up; ip link set other up
      ip route add default dev ens6 table 10002; ip rule add priority 9500 from ${prefixes.ipv4} lookup 10002; ${strict}`,
    );
    await see(false, [
      ["users' way out", "FAIL", "leaves by ens6"],
      ["rp_filter", "FAIL", "the way out is ens6"],
    ]);
    await here.change(`ip rule del priority 9500; ip link del ens6; ${loose}`);

    await here.change(
      `nft 'add table ip filter; add chain ip filter DOCKER-USER; add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }; add rule ip filter FORWARD jump DOCKER-USER'`,
    );
    const closed = await see(false, [
      ["forward filters", "FAIL", "chain FORWARD of table ip filter (docker)"],
    ]);
    expect(closed("forward filters")?.action).toContain("iptables -I DOCKER-USER -i connector0 -j ACCEPT");
    await here.change(
      `nft 'add rule ip filter DOCKER-USER iifname connector0 accept; add rule ip filter DOCKER-USER oifname connector0 accept
      add table inet firewalld; add chain inet firewalld filter_INPUT { type filter hook input priority 10; }
      add rule inet firewalld filter_INPUT udp dport 51820 accept; add rule inet firewalld filter_INPUT counter reject'`,
    );
    const opened = await see(true, [
      ["forward filters", "ok", "with rules for connector0"],
      ["input filters", "warn", "chain filter_INPUT of table inet firewalld"],
    ]);
    expect(opened("input filters")?.text).not.toContain("UDP");

    // An agent that is not root makes its control socket in a folder that somebody has made for it.
    await here.change(`ip link del connector0; mkdir ${here.stateDir}; chown 65534 ${here.stateDir}`);
    const wireguard = async () => (await here.check())("WireGuard");
    expect(await wireguard()).toMatchObject({
      result: "FAIL",
      text: expect.stringContaining("is not there"),
    });
    await here.change("mkdir /run/wireguard");
    expect(await wireguard()).toMatchObject({ result: "FAIL", text: expect.stringContaining("agent's") });
    await here.change("chown 65534 /run/wireguard");
    expect(await wireguard()).toMatchObject({ result: "ok" });
  },
);

test("connections: none tracked, few, nearly full, full", () => {
  const result = (max: number | undefined, count = 0) => {
    const settings = new Map([["net/netfilter/nf_conntrack_count", count]]);
    if (max !== undefined) settings.set("net/netfilter/nf_conntrack_max", max);
    return judgeLimits({ settings, agentUid: 0, mayBind: false })[0]?.result;
  };
  expect(result(undefined)).toBe("FAIL");
  expect(result(65_536)).toBe("warn");
  expect(result(262_144)).toBe("ok");
  expect(result(262_144, 220_000)).toBe("warn");
  expect(result(262_144, 262_000)).toBe("FAIL");
});

test.each([
  [53, 1000, false, "ok"],
  [1024, 0, false, "ok"],
  [1024, 1000, true, "ok"],
  [1024, 1000, false, "warn"],
  [1024, undefined, false, "warn"],
] as const)("ports free from %d, agent %s, capability %s: %s", (first, agentUid, mayBind, result) => {
  const settings = new Map([["net/ipv4/ip_unprivileged_port_start", first]]);
  expect(judgeLimits({ settings, agentUid, mayBind })[1]?.result).toBe(result);
});

/** By who made the default route, accept_ra and forwarding. */
test.each([
  ["ra", 2, 1, "ok"],
  ["ra", 1, 1, "FAIL"],
  ["ra", 1, 0, "warn"],
  ["ra", 0, 1, "ok"],
  ["dhcp", 1, 1, "ok"],
  [undefined, 1, 1, "FAIL"],
  [undefined, 2, 1, "warn"],
] as const)("IPv6 route by %s, accept_ra %d, forwarding %d: %s", (protocol, acceptRa, forwarding, result) => {
  const lines = judgeForwarding({
    settings: new Map([
      ["net/ipv6/conf/ens5/accept_ra", acceptRa],
      ["net/ipv6/conf/all/forwarding", forwarding],
    ]),
    link: "ens5",
    hasIpv6Prefix: true,
    ipv6Routes: protocol === undefined ? [] : [{ protocol }],
    waysOut: [],
  });
  expect(lines.find(({ name }) => name === "IPv6 route")?.result).toBe(result);
});

test("WireGuard: by whom, and what is missing", () => {
  const cannot = (error: string) => failed("datapath.failing", { error });
  const seen: WireguardSeen = {
    backend: { is: "tried", backend: "userspace" },
    wg: success("1.0.20210914"),
    wireguardGo: success("0.0.20230223"),
    tunDevice: "usable",
    socketFolder: "usable",
  };
  const line = (change: Partial<WireguardSeen>) => judgeWireguard({ ...seen, ...change });
  const missing = cannot("wireguard-go is not installed");
  expect(line({})).toMatchObject({
    result: "ok",
    text: "wireguard-go 0.0.20230223: the kernel has no module",
  });
  expect(line({ wireguardGo: missing })).toMatchObject({
    result: "FAIL",
    text: "the kernel has no module, and wireguard-go is not installed",
  });
  expect(line({ wireguardGo: cannot("wireguard-go: no end within 10000 ms") })).toMatchObject({
    result: "FAIL",
    text: "the kernel has no module, and wireguard-go: no end within 10000 ms",
  });
  expect(line({ tunDevice: "none" })).toMatchObject({
    result: "FAIL",
    action: expect.stringContaining("modprobe tun"),
  });
  expect(line({ tunDevice: "hidden" })).toMatchObject({ result: "warn" });
  for (const socketFolder of ["none", "closed"] as const) {
    expect(line({ socketFolder })).toMatchObject({
      result: "FAIL",
      text: expect.stringContaining("/var/run/wireguard is not"),
      action: expect.stringContaining("RuntimeDirectory=wireguard"),
    });
  }
  const kernel = { is: "tried", backend: "kernel" } as const;
  const nothing = { wireguardGo: missing, tunDevice: "none", socketFolder: "none" } as const;
  expect(line({ backend: kernel, ...nothing })).toMatchObject({
    result: "ok",
    text: "the kernel's module, wg 1.0.20210914",
  });
  expect(line({ backend: kernel, wg: cannot("wg is not installed") })).toMatchObject({
    result: "FAIL",
    text: "the kernel's module, but wg is not installed",
    action: "Install wireguard-tools.",
  });
  const carries = { is: "carries", backend: "userspace" } as const;
  expect(line({ backend: carries, wg: missing, tunDevice: "none" })).toMatchObject({
    result: "ok",
    text: "wireguard-go 0.0.20230223 carries connector0",
  });
  const untried = { is: "untried", hasModule: true } as const;
  expect(line({ backend: untried, wireguardGo: missing })).toMatchObject({ result: "ok" });
  expect(line({ backend: { ...untried, hasModule: false }, wireguardGo: missing })).toMatchObject({
    result: "FAIL",
  });
});

test("programs: missing and too old, with what to install", () => {
  const none = (name: string) =>
    failed("datapath.failing", { command: name, error: `${name} is not installed` });
  const old = failed("datapath.failing", { command: "dnsmasq", error: "2.80 is too old", needed: "2.87" });
  const lines = judgePrograms({
    ip: none("ip"),
    nft: none("nft"),
    conntrack: success("1.4.7"),
    dnsmasq: old,
  });
  expect(lines.map(({ result }) => result)).toEqual(["FAIL", "FAIL", "ok", "FAIL"]);
  expect(lines[3]).toMatchObject({ text: "2.80 is too old (needed: 2.87)" });
});

test("an interface that was not found is not judged", () => {
  expect(judgeInterface(undefined).result).toBe("skip");
});
