import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Imds } from "../../lab/imds/server.ts";
import type { Process } from "../../lab/process.ts";
import { Asker } from "../../lab/vpc/asker.ts";
import { ip, must, nft } from "../../lab/vpc/commands.ts";
import { type Corporate, corporateAddresses, startCorporate } from "../../lab/vpc/corporate.ts";
import type { Host } from "../../lab/vpc/host.ts";
import type { VpcInstance } from "../../lab/vpc/instance.ts";
import { removeNamespaces } from "../../lab/vpc/namespaces.ts";
import { setSysctls } from "../../lab/vpc/sysctls.ts";
import { createVpc, type Vpc } from "../../lab/vpc/vpc.ts";
import { commandRunner } from "../../protocol/node/command.ts";
import { temporaryFolder } from "../support/folder.ts";
import { until } from "../support/until.ts";
import { imdsOf, obstacle, runOn, seen, shell, title } from "./vpc-fixture.ts";

/** For an answer that is to come, however busy the machine is. */
const patientMs = 10_000;
const folder = temporaryFolder();
const runner = commandRunner();
const processes: Process[] = [];
const services: Imds[] = [];
let vpc: Vpc;
let one: VpcInstance;
let two: VpcInstance;
let corporate: Corporate;
let device: Host;
let server: Host;

describe.skipIf(obstacle !== undefined)(title("a VPC of network namespaces"), () => {
  beforeAll(async () => {
    vpc = await createVpc({ name: "vpc-test", folder: folder.path });
    services.push(await imdsOf(1), await imdsOf(2));
    const [first, second] = services as [Imds, Imds];
    first.assignPrefix("172.18.140.16/28");
    [one, two, corporate, device, server] = await Promise.all([
      vpc.addInstance("agent-1", first),
      vpc.addInstance("agent-2", second),
      startCorporate(vpc),
      vpc.addDevice("ana-laptop"),
      vpc.addServer("controller"),
    ]);
    processes.push(await runOn(server, "web", "controller", "443"));
  });

  afterAll(async () => {
    await Promise.all(processes.map((process) => process.stop()));
    await vpc?.[Symbol.asyncDispose]();
    await Promise.all(services.map((imds) => imds[Symbol.asyncDispose]()));
    folder[Symbol.dispose]();
  });

  test("an application sees the instance that asks, by its private name, over both families", async () => {
    const url = "http://web.corp.internal/";
    for (const instance of [one, two]) {
      const answers = await instance.ask(
        { kind: "http", url, withinMs: patientMs },
        { kind: "http", url, family: 6, withinMs: patientMs },
      );
      expect(answers.map(seen)).toEqual([instance.addresses.ipv4, instance.addresses.ipv6]);
    }
  });

  test("the private applications: names, wildcards, echoes, and calls towards whoever asks", async () => {
    const { web, echo, caller, dns } = corporate;
    const [primary, secondary] = dns.map(({ host }) => host.addresses);
    const call = `http://${caller.host.addresses.ipv4}/call`;
    const answers = await one.ask(
      { kind: "name", name: "web.corp.internal", family: 4, dns: primary?.ipv4 ?? "" },
      { kind: "name", name: "any.apps.corp.internal", family: 6, dns: secondary?.ipv6 ?? "" },
      { kind: "name", name: "nobody.corp.internal", family: 4, dns: primary?.ipv4 ?? "" },
      { kind: "tcp", address: echo.host.addresses.ipv4, port: 7, text: "over TCP" },
      { kind: "udp", address: echo.host.addresses.ipv6, port: 7, text: "over UDP" },
      { kind: "callback", url: call, port: 4000 },
      { kind: "http", url: `${call}?port=4001` },
    );
    const { ipv4 } = one.addresses;
    expect(answers).toEqual([
      { ok: true, text: web.host.addresses.ipv4 },
      { ok: true, text: web.host.addresses.ipv6 },
      { ok: false, why: "ENOTFOUND" },
      { ok: true, text: "over TCP" },
      { ok: true, text: "over UDP" },
      { ok: true, text: JSON.stringify({ address: ipv4, port: 4000, connected: true }) },
      {
        ok: true,
        text: JSON.stringify({ address: ipv4, port: 4001, connected: false, why: "ECONNREFUSED" }),
      },
    ]);
  });

  test("the applications are where the lab's services say", () => {
    const { web, echo, caller, dns } = corporate;
    const hosts = [web, echo, caller, ...dns].map(({ host }) => [host.name, host.addresses]);
    expect(Object.fromEntries(hosts)).toEqual(corporateAddresses);
  });

  test("who sits at a host tries one thing after the other, also after a fright", async () => {
    await using asker = new Asker(one);
    const [answered, refused] = await Promise.all([
      asker.ask({ kind: "http", url: "http://web.corp.internal/", withinMs: patientMs }),
      asker.ask({ kind: "tcp", address: one.addresses.ipv4, port: 9, text: "" }),
    ]);
    expect([seen(answered.answer), seen(refused.answer)]).toEqual([one.addresses.ipv4, "ECONNREFUSED"]);
    expect(answered.tookMs).toBeGreaterThan(0);
    const asking = asker.ask({ kind: "http", url: "http://192.0.2.1/", withinMs: 30_000 });
    await must(["sh", "-c", `kill -9 $(ip netns pids ${one.namespace})`]);
    expect((await asking).answer).toMatchObject({ ok: false });
    const again = await asker.ask({ kind: "http", url: "http://web.corp.internal/", withinMs: patientMs });
    expect(seen(again.answer)).toBe(one.addresses.ipv4);
  });

  test("an instance has the settings of the AMI", async () => {
    const file = join(import.meta.dirname, "..", "..", "systemd", "sysctl.d", "60-connector.conf");
    await setSysctls(two, file);
    const settings = ["ipv4/ip_forward", "ipv4/conf/all/rp_filter", "ipv6/conf/ens5/accept_ra"];
    const read = await shell(two, `cd /proc/sys/net && cat ${settings.join(" ")}`);
    expect(read.split("\n")).toEqual(["1", "2", "2"]);
  });

  test("a name that is published anew is answered with its new address", async () => {
    const [dns] = corporate.dns;
    await dns.publish("moving.corp.internal", corporate.echo.host.addresses);
    await dns.publish("moving.corp.internal", corporate.web.host.addresses);
    const name = { kind: "name", name: "moving.corp.internal", family: 4, dns: "172.18.0.2" } as const;
    expect(await one.ask(name)).toEqual([{ ok: true, text: corporate.web.host.addresses.ipv4 }]);
    await dns.publish("moving.corp.internal", undefined);
    expect(await one.ask(name)).toEqual([{ ok: false, why: "ENOTFOUND" }]);
  });

  test("users behind an instance reach applications as themselves, and never the metadata service", async () => {
    const user = `${one.namespace}-user`;
    const curl = async (...args: string[]) =>
      await runner(["ip", "netns", "exec", user, "curl", "-sS", ...args]);
    try {
      await ip(undefined, [
        `netns add ${user}`,
        `link add name users netns ${one.namespace} type veth peer name eth0 netns ${user}`,
      ]);
      await ip(user, [
        "link set eth0 up",
        "address add 172.18.140.17/32 dev eth0",
        `route add 0.0.0.0/0 via ${one.addresses.ipv4} dev eth0 onlink`,
      ]);
      await ip(one.namespace, ["link set users up", "route add 172.18.140.17/32 dev users"]);
      await shell(one, "echo 1 > /proc/sys/net/ipv4/ip_forward");
      const web = await curl("-m", "10", `http://${corporate.web.host.addresses.ipv4}/`);
      expect(web).toMatchObject({ ok: true, value: expect.stringContaining('"172.18.140.17"') });
      // The answer is good for a single hop, and the instance would be a second one.
      expect(await curl("-m", "1", "-X", "PUT", "http://169.254.169.254/latest/api/token")).toMatchObject({
        ok: false,
      });
    } finally {
      await removeNamespaces([user]);
    }
  });

  test("packets from another's address are dropped, and counted", async () => {
    await ip(two.namespace, [
      "address add 172.18.140.18/32 dev lo",
      "address add 2600:1f18:2a89:703::bad/128 dev lo",
    ]);
    const before = await vpc.refusedSources();
    const { ipv4, ipv6 } = corporate.web.host.addresses;
    const answers = await two.ask(
      { kind: "http", url: `http://${ipv4}/`, from: "172.18.140.18", withinMs: 400 },
      { kind: "http", url: `http://[${ipv6}]/`, from: "2600:1f18:2a89:703::bad", family: 6, withinMs: 400 },
      { kind: "http", url: `http://${ipv4}/`, withinMs: patientMs },
    );
    expect(answers.map(seen)).toEqual(["ETIMEDOUT", "ETIMEDOUT", two.addresses.ipv4]);
    expect(await vpc.refusedSources()).toBeGreaterThan(before);
  });

  test("a prefix is routed while it is assigned, and to one interface only", async () => {
    const prefixes = ["172.18.141.32/28", "2600:1f18:2a89:703:1001::/80"] as const;
    const [user4, user6] = ["172.18.141.47", "2600:1f18:2a89:703:1001::7"];
    for (const { namespace } of [one, two]) {
      await ip(namespace, [`address add ${user4}/32 dev lo`, `address add ${user6}/128 dev lo nodad`]);
    }
    const { ipv4, ipv6 } = corporate.web.host.addresses;
    const whoIsSeen = async (instance: VpcInstance, withinMs = patientMs) => {
      const answers = await instance.ask(
        { kind: "http", url: `http://${ipv4}/`, from: user4, withinMs },
        { kind: "http", url: `http://[${ipv6}]/`, from: user6, family: 6, withinMs },
      );
      return answers.map(seen);
    };
    const nobody = ["ETIMEDOUT", "ETIMEDOUT"];
    expect(await whoIsSeen(one, 800)).toEqual(nobody);

    for (const prefix of prefixes) one.imds.assignPrefix(prefix);
    await vpc.settled();
    expect(await whoIsSeen(one)).toEqual([user4, user6]);
    expect(await whoIsSeen(two, 800)).toEqual(nobody);
    expect(() => two.imds.assignPrefix(prefixes[0])).toThrow(
      `assigned to ${one.ec2.interfaces[0].interfaceId}`,
    );

    // EC2 has the move at once; packets go on to the first for as long as the network takes.
    vpc.routePropagationMs = 60_000;
    for (const prefix of prefixes) one.imds.unassignPrefix(prefix);
    expect(await whoIsSeen(one)).toEqual([user4, user6]);
    vpc.routePropagationMs = 100;
    for (const prefix of prefixes) two.imds.assignPrefix(prefix);
    const { ipv4: shown } = two.imds.world.assignedPrefixes(two.ec2.interfaces[0].mac);
    expect(shown).toEqual([prefixes[0]]);
    await expect.poll(() => whoIsSeen(two, 800)).toEqual([user4, user6]);
    expect(await whoIsSeen(one, 800)).toEqual(nobody);
    vpc.routePropagationMs = 0;
  });

  test("prefixes that are due one right after the other are all routed", async () => {
    const prefixes = Array.from({ length: 12 }, (_, i) => `2600:1f18:2a89:703:200${i.toString(16)}::/80`);
    for (const [i, prefix] of prefixes.entries()) {
      vpc.routePropagationMs = 50 + 2 * i;
      one.imds.assignPrefix(prefix);
    }
    const routes = async () =>
      (await must(["ip", "-n", vpc.namespaceOf("router"), "-6", "route"])).split("\n");
    const routed = async () =>
      (await routes()).filter((route) => prefixes.some((prefix) => route.startsWith(prefix)));
    await until("all of them", async () => (await routed()).length === prefixes.length);
    vpc.routePropagationMs = 0;
    for (const prefix of prefixes) one.imds.unassignPrefix(prefix);
    await until("none of them", async () => (await routed()).length === 0);
  });

  test("each instance asks its own metadata service, at both addresses; nobody else has one", async () => {
    const script = (
      at: string,
      withinS: number,
    ) => `token=$(curl -s -m ${withinS} -X PUT http://${at}/latest/api/token \
      -H 'X-aws-ec2-metadata-token-ttl-seconds: 60') && curl -s -m ${withinS} http://${at}/latest/meta-data/local-ipv4 \
      -H "X-aws-ec2-metadata-token: $token" || echo none`;
    const both = (withinS: number) =>
      `${script("169.254.169.254", withinS)}; echo; ${script("[fd00:ec2::254]", withinS)}`;
    const answers = await Promise.all([
      ...[one, two].map((host) => shell(host, both(patientMs / 1_000))),
      ...[device, corporate.web.host].map((host) => shell(host, both(0.5))),
    ]);
    const twice = (text: string) => `${text}\n${text}`;
    expect(answers.map((text) => text.replace("\n\n", "\n"))).toEqual([
      twice(one.addresses.ipv4),
      twice(two.addresses.ipv4),
      twice("none"),
      twice("none"),
    ]);
    // The port at the router is not a way around.
    const router = one.namespace.replace(/agent-1$/, "router");
    const port = /"i1" : (\d+)/.exec(await nft(router, "list map inet router metadata"))?.[1] ?? "";
    const question = {
      kind: "tcp",
      address: "172.18.128.1",
      text: "GET / HTTP/1.0\r\n\r\n",
      withinMs: 400,
    } as const;
    expect(await two.ask({ ...question, port: Number(port) })).toEqual([{ ok: false, why: "ETIMEDOUT" }]);
  });

  test("jumbo frames inside, another path MTU towards the internet, and whoever sends too much is told", async () => {
    const ping = (address: string, bytes: number) => `ping -c 1 -W 5 -M do -s ${bytes} ${address}`;
    const { ipv4, ipv6 } = corporate.web.host.addresses;
    const applications = [ping(ipv4, 8973), ping(ipv6, 8953)];
    const gateways = [ping("172.18.128.1", 8973), ping("fe80::1%ens5", 8953)];
    const inside = await shell(one, [...applications, ...gateways].join("; "));
    expect(inside.match(/ 1 received/g)).toHaveLength(4);
    const tooBig = await shell(
      one,
      `${ping(server.addresses.ipv4, 1373)}; ${ping(server.addresses.ipv6, 1353)}`,
    );
    expect(tooBig).toMatch(/Frag needed.*mtu = 1400/);
    expect(tooBig).toMatch(/Packet too big: mtu=1400/);
    expect(await shell(one, ping(server.addresses.ipv4, 1372))).toContain(" 1 received");
    expect(await shell(device, ping(server.addresses.ipv4, 1472))).toContain(" 1 received");
    expect(await shell(device, ping(one.publicIpv4, 1373))).toMatch(/Frag needed.*mtu = 1400/);
  });

  test("devices reach WireGuard's port and the controller, and nothing else", async () => {
    processes.push(await runOn(one, "echo", "51820"), await runOn(one, "echo", "51821"));
    const neighbour = await vpc.addDevice("bruno-laptop");
    const url = `http://${server.addresses.ipv4}:443/`;
    const patiently = { text: "hello", withinMs: patientMs } as const;
    const quickly = { text: "hello", withinMs: 400 } as const;
    const [web, ...answers] = await device.ask(
      { kind: "http", url, withinMs: patientMs },
      { kind: "udp", address: one.publicIpv4, port: 51820, ...patiently },
      { kind: "udp", address: one.addresses.ipv6, port: 51820, ...patiently },
      { kind: "udp", address: one.publicIpv4, port: 51821, ...quickly },
      { kind: "tcp", address: one.publicIpv4, port: 51820, ...quickly },
      { kind: "udp", address: one.addresses.ipv4, port: 51820, ...quickly },
      { kind: "tcp", address: corporate.web.host.addresses.ipv6, port: 80, ...quickly },
      { kind: "tcp", address: neighbour.addresses.ipv4, port: 80, ...quickly },
    );
    expect(seen(web)).toBe(device.addresses.ipv4);
    expect(answers.map((answer) => (answer.ok ? answer.text : "no"))).toEqual([
      "hello",
      "hello",
      ...Array(5).fill("no"),
    ]);
    expect((await one.ask({ kind: "http", url, withinMs: patientMs })).map(seen)).toEqual([one.publicIpv4]);
  });

  test("a cable that is cut lets nothing through, and says nothing", async () => {
    const question = {
      kind: "http",
      url: `http://${server.addresses.ipv4}:443/`,
      withinMs: patientMs,
    } as const;
    await two.unplug();
    expect((await two.ask({ ...question, withinMs: 400 })).map(seen)).toEqual(["ETIMEDOUT"]);
    await two.plug();
    expect((await two.ask(question)).map(seen)).toEqual([two.publicIpv4]);
  });

  test.each([
    ["from", "does not arrive"],
    ["to", "arrives, and its answer does not"],
  ] as const)("a cable that is cut %s the host: what it sends %s", async (way, _what) => {
    const question = {
      kind: "http",
      url: `http://${server.addresses.ipv4}:443/`,
      withinMs: patientMs,
    } as const;
    const before = await segmentsAt(server);
    await two.unplug(way);
    expect((await two.ask({ ...question, withinMs: 400 })).map(seen)).toEqual(["ETIMEDOUT"]);
    expect((await segmentsAt(server)) > before).toBe(way === "to");
    await two.plug();
    expect((await two.ask(question)).map(seen)).toEqual([two.publicIpv4]);
  });

  test("a door leads from the machine to a port of a host", async () => {
    const port = await server.door(443);
    const answer = await fetch(`http://127.0.0.1:${port}/`);
    expect(await answer.json()).toMatchObject({ application: "controller", address: "127.0.0.1" });
  });

  test("each host has a /run of its own", async () => {
    expect(await shell(one, "touch /run/mine && ls /run/mine")).toBe("/run/mine");
    expect(await shell(two, "ls /run/mine")).toContain("No such file");
  });
});

/** TCP segments that have come to a host (Tcp: InSegs). */
async function segmentsAt(host: Host): Promise<number> {
  return Number(await shell(host, "awk '/^Tcp: [0-9]/ { print $11 }' /proc/net/snmp"));
}
