import { execFileSync, spawn } from "node:child_process";
import { chownSync, mkdirSync, realpathSync, statSync } from "node:fs";
import { describe, expect, onTestFinished, test } from "vitest";
import { makeWireguardKey } from "../../protocol/node/keys.ts";
import { programOf } from "../../protocol/node/processes.ts";
import type { ResourceSpec } from "../../protocol/specs.ts";
import { instanceEnd } from "../../protocol/tunnel.ts";
import { DataPathChild, type PlanText } from "../support/datapath.ts";
import { temporaryFolder } from "../support/folder.ts";
import { testLog } from "../support/log.ts";
import { insideOf, runIn, TestHosts } from "../support/namespaces.ts";
import { until } from "../support/until.ts";
import { DnsServer } from "./dnsmasq-server.ts";
import { Applications, noFirewall } from "./firewall-hosts.ts";
import { Host, variants } from "./wireguard-hosts.ts";

const title =
  noFirewall === undefined
    ? "as a user who is not root, the data path"
    : `as a user who is not root, the data path (${noFirewall})`;

const nobody = 65_534;
const enough = "+net_admin";
const web = { ipv4: "10.99.0.1", ipv6: "fd99::1" };
const user = { ipv4: "10.0.1.17", ipv6: "2001:db8:1::11" };
const pools = ["10.0.1.16/28", "2001:db8:1::/80"];

describe.skipIf(noFirewall)(title, () => {
  test("works with CAP_NET_ADMIN alone, where port 53 is open to all", { timeout: 30_000 }, async () => {
    const { hosts, device, agent, plan, processes } = await world({ portsFrom: 53 });
    const { value } = await agent.apply(plan);
    expect(value).toEqual({
      routes: pools,
      peers: 1,
      drift: [],
      resolver: undefined,
      silent: [],
      lingering: undefined,
    });
    expect(processes().map(({ name, uid }) => [name, uid])).toEqual([
      ["dnsmasq", nobody],
      ["wireguard-go", nobody],
    ]);
    // By address, as the leased one, both families; only what a service allows.
    expect(await get(device, `http://${web.ipv4}:8081/`)).toBe(user.ipv4);
    // A cable that is new finds its neighbours after a second or two.
    await until("IPv6", async () => (await get(device, `http://[${web.ipv6}]:8081/`, 0.5)) === user.ipv6);
    expect(await get(device, `http://${web.ipv4}:8082/`, 0.5)).toBe("silence");
    // By name: its answer lets its addresses in.
    for (const [server, type, address, leased] of [
      [instanceEnd.ipv4, "A", web.ipv4, user.ipv4],
      [instanceEnd.ipv6, "AAAA", web.ipv6, user.ipv6],
    ] as const) {
      const from = type === "A" ? user.ipv4 : user.ipv6;
      const asked = { do: "resolve", from, server, name: "web.corp.internal", type } as const;
      const answer = await until("a name", async () => {
        const text = await device.request(asked);
        return text.includes(address) ? text : undefined;
      });
      expect(answer).toContain(address);
      const host = type === "A" ? address : `[${address}]`;
      expect(await get(device, `http://${host}:8080/`)).toBe(leased);
    }
    // What it needs to kill a wireguard-go that hangs.
    const wireguard = processes().find(({ name }) => name === "wireguard-go")?.pid ?? 0;
    const link = `/proc/${wireguard}/ns/net`;
    expect(await runIn(hosts.instance, ...asNobody(), "readlink", link)).toContain("net:[");
    // The next process adopts all of it, and makes anew what is lost.
    const before = processes();
    await agent.kill();
    const next = hosts.agent();
    expect((await next.apply(plan)).value).toMatchObject({ peers: 1, drift: [] });
    expect(processes()).toEqual(before);
    for (const { pid } of before) process.kill(pid, "SIGKILL");
    await until(
      "both again",
      () => processes().length === 2 && processes().every(({ uid }) => uid === nobody),
    );
    await until("traffic", async () => (await get(device, `http://${web.ipv4}:8081/`, 0.5)) === user.ipv4);
    // Its connections are forgotten when it leaves, and nothing of it passes.
    expect(await runIn(hosts.instance, "conntrack", "-L", "-s", user.ipv4)).not.toBe("");
    const gone = await next.apply({ ...plan, peers: [] });
    expect(gone.value).toMatchObject({ peers: 0, drift: [] });
    const known = () => runIn(hosts.instance, "conntrack", "-L", "-s", user.ipv4);
    await until("they are forgotten", async () => (await known()) === "");
    expect(await get(device, `http://${web.ipv4}:8081/`, 0.5)).toBe("silence");
  });

  test("where port 53 is root's it carries packets, and says why it answers no names", async () => {
    const { device, agent, plan } = await world({ portsFrom: 1024 });
    const { value } = await agent.apply(plan);
    expect(value).toMatchObject({ peers: 1, drift: [] });
    expect(value.resolver?.facts).toMatchObject({ error: expect.stringMatching(/denied/) });
    expect(await get(device, `http://${web.ipv4}:8081/`)).toBe(user.ipv4);
  });
});

/**
 * A device, an instance and an application behind it. The instance's data path runs as a user of its own, with what
 * systemd would give the unit: the capabilities, a device it may open, and a folder for wireguard-go's control socket,
 * whose place cannot be changed.
 */
async function world({ portsFrom }: { readonly portsFrom: number }) {
  const namespaces = new TestHosts();
  onTestFinished(() => namespaces[Symbol.dispose]());
  const [instance, outside, vpc] = [
    namespaces.add("instance"),
    namespaces.add("device"),
    namespaces.add("vpc"),
  ];
  namespaces.connect(instance, ["10.77.0.1/24"], outside, ["10.77.0.2/24"]);
  namespaces.connect(instance, ["10.98.0.1/24", "fd98::1/64"], vpc, ["10.98.0.2/24", "fd98::2/64"]);
  // As root, once: what is installed with the product.
  for (const setting of ["ipv4/ip_forward", "ipv6/conf/all/forwarding"]) {
    await runIn(instance, "sh", "-c", `echo 1 >/proc/sys/net/${setting}`);
  }
  await runIn(instance, "sh", "-c", `echo ${portsFrom} >/proc/sys/net/ipv4/ip_unprivileged_port_start`);
  const ip = (host: string, command: string) => runIn(host, "ip", ...command.split(" "));
  await ip(vpc, `address add ${web.ipv4}/32 dev lo`);
  await ip(vpc, `address add ${web.ipv6}/128 dev lo nodad`);
  await ip(instance, `route add ${web.ipv4}/32 via 10.98.0.2`);
  await ip(instance, `route add ${web.ipv6}/128 via fd98::2`);
  await ip(vpc, `route add ${pools[0]} via 10.98.0.1`);
  await ip(vpc, `route add ${pools[1]} via fd98::1`);

  const folder = temporaryFolder();
  onTestFinished(() => folder[Symbol.dispose]());
  chownSync(folder.path, nobody, nobody);
  await serveWeb(vpc);
  const dns = new DnsServer(vpc, folder.path, "10.98.0.2", [`web.corp.internal,${web.ipv4},${web.ipv6}`]);
  onTestFinished(() => dns[Symbol.dispose]());
  await dns.ready();

  const key = makeWireguardKey();
  const sockets = `${folder.path}/sockets`;
  mkdirSync(sockets);
  chownSync(sockets, nobody, nobody);
  mkdirSync("/var/run/wireguard", { recursive: true });
  const prepare = [
    "mount --make-rprivate /",
    `mount --bind ${sockets} /var/run/wireguard`,
    "mount -t tmpfs tmpfs /dev/net && mknod -m 666 /dev/net/tun c 10 200",
    `exec ${asNobody().join(" ")} "$@"`,
  ].join(" && ");
  const agent = () => {
    const enter = ["netns", "exec", instance, "unshare", "--mount", "sh", "-c", prepare, "sh"];
    const command = ["ip", ...enter, realpathSync(process.execPath)] as const;
    const child = new DataPathChild({ command: [...command], folder: `${folder.path}/run`, key });
    onTestFinished(() => child.kill());
    return child;
  };

  const device = await deviceIn(outside, key.publicKey);
  const plan: PlanText = {
    routes: pools,
    peers: [{ session: "s1", wireguardKey: device.key, group: "staff", ...user }],
    resources: [
      ["r1", service("by name", { domain: "web.corp.internal" }, 8080)],
      ["r2", service("by address", { cidr: `${web.ipv4}/32` }, 8081)],
      ["r3", service("by IPv6", { cidr: `${web.ipv6}/128` }, 8081)],
    ],
    dns: { primary: "10.98.0.2" },
  };
  const processes = () => processesIn(instance);
  return { hosts: { instance, agent }, device: device.programs, agent: agent(), plan, processes };
}

function service(name: string, destination: ResourceSpec["destination"], port: number): ResourceSpec {
  const ports = [{ from: port, to: port }];
  return { name, destination, protocol: "tcp", ports, serverInitiated: false, groups: ["staff"] };
}

function asNobody(): string[] {
  const sets = ["inh-caps", "ambient-caps", "bounding-set"].map((set) => `--${set}=-all,${enough}`);
  return ["setpriv", `--reuid=${nobody}`, `--regid=${nobody}`, "--clear-groups", ...sets];
}

async function deviceIn(namespace: string, instanceKey: string) {
  const [userspace] = variants;
  if (userspace === undefined) throw new Error("no variant");
  const host = await Host.open(userspace, namespace, testLog().log);
  const to = [web.ipv4, instanceEnd.ipv4].map((address) => `${address}/32`);
  to.push(...[web.ipv6, instanceEnd.ipv6].map((address) => `${address}/128`));
  await host.set([{ publicKey: instanceKey, allowedIps: to, endpoint: "10.77.0.1:51820", keepaliveS: 0 }]);
  await host.route([`${user.ipv4}/32`, `${user.ipv6}/128`], to);
  const programs = new Applications(namespace);
  onTestFinished(() => programs[Symbol.dispose]());
  return { programs, key: host.key.publicKey };
}

/** HTTP that answers with the address that asked. */
async function serveWeb(namespace: string): Promise<void> {
  const program = `const { createServer } = require("node:http");
    for (const port of [8080, 8081, 8082])
      createServer((q, a) => a.end(q.socket.remoteAddress.replace("::ffff:", ""))).listen(port, "::");`;
  const [file = "", ...args] = [...insideOf(namespace), process.execPath, "-e", program];
  const server = spawn(file, args, { stdio: "inherit" });
  onTestFinished(() => void server.kill("SIGKILL"));
  await until("the web", async () => (await runIn(namespace, "ss", "-lntH")).includes(":8082"));
}

async function get(device: Applications, url: string, withinS = 4): Promise<string> {
  const curl = ["curl", "--silent", "--globoff", "--max-time", `${withinS}`, url];
  return runIn(device.name, ...curl).catch(() => "silence");
}

/** What the data path has started, and as whom. */
function processesIn(namespace: string): { name: string; uid: number; pid: number }[] {
  const pids = execFileSync("ip", ["netns", "pids", namespace], { encoding: "utf8" })
    .split("\n")
    .filter(Boolean)
    .map(Number);
  return pids
    .flatMap((pid) => {
      const name = programOf(pid);
      const uid = statSync(`/proc/${pid}`, { throwIfNoEntry: false })?.uid;
      const isIts = name === "dnsmasq" || name === "wireguard-go";
      return isIts && uid !== undefined ? [{ name, uid, pid }] : [];
    })
    .sort((a, b) => a.name.localeCompare(b.name));
}
