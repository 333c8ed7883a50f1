import {
  appendFileSync,
  chmodSync,
  chownSync,
  existsSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Dnsmasq, resolverPaths } from "../../agent/adapters/dnsmasq.ts";
import type { NftTable } from "../../agent/adapters/nft-table.ts";
import { firewallOf } from "../../agent/core/firewall.ts";
import { learnedSets } from "../../agent/core/firewall-learned.ts";
import { type ResolverFiles, resolverFiles, serversOf } from "../../agent/core/resolver.ts";
import type { Heard } from "../../agent/core/resolver-health.ts";
import { cachedForMs } from "../../agent/core/resolver-names.ts";
import type { DnsServers, ResourceSpec } from "../../protocol/specs.ts";
import { temporaryFolder } from "../support/folder.ts";
import { insideOf, runIn } from "../support/namespaces.ts";
import { keepingLog } from "../support/quiet-log.ts";
import { until } from "../support/until.ts";
import { DnsServer } from "./dnsmasq-server.ts";
import { Applications, type FirewallWorld, firewallWorld, noFirewall } from "./firewall-hosts.ts";
import { peer, planOf, service, tunnel } from "./firewall-plans.ts";

const staff = peer(1, "staff");
const app = { ipv4: "10.0.0.5", ipv6: "fd00::5" };
const dns: DnsServers = { primary: "10.0.0.2", secondary: "10.0.0.3" };
const records = [
  `app.internal,${app.ipv4},${app.ipv6}`,
  "deep.app.internal,10.0.0.6",
  "steady.internal,10.0.0.7",
  "other.internal,10.0.0.8",
];
const web = service("web", "app.internal", "tcp 80", ["staff"]);

describe.skipIf(noFirewall !== undefined)(`resolver (${noFirewall ?? "in the kernel"})`, () => {
  let world: FirewallWorld;
  let table: NftTable;
  let resolver: Dnsmasq;
  let primary: DnsServer;
  let secondary: DnsServer;
  /** The agent's own process, as it were. */
  let inside: Applications;
  const log = keepingLog();

  beforeEach(async () => {
    world = firewallWorld({
      users: [staff.ipv4 ?? "", staff.ipv6 ?? ""],
      vpc: [app.ipv4, app.ipv6, "10.0.0.2", "10.0.0.3"],
    });
    const { name } = world.vpc;
    const { folder } = world.instance;
    primary = await new DnsServer(name, folder, "10.0.0.2", [...records, "who.internal,10.9.9.1"]).ready();
    secondary = await new DnsServer(name, folder, "10.0.0.3", [...records, "who.internal,10.9.9.2"]).ready();
    table = world.instance.table();
    inside = new Applications(world.instance.name);
    resolver = service1();
    await serve([web]);
  });

  afterEach(async () => {
    await resolver?.apply(undefined);
    await resolver?.[Symbol.asyncDispose]();
    inside?.[Symbol.dispose]();
    primary?.[Symbol.dispose]();
    secondary?.[Symbol.dispose]();
    world?.[Symbol.dispose]();
  });

  function service1(): Dnsmasq {
    return new Dnsmasq({
      folder: world.instance.folder,
      log: log.log,
      inside: insideOf(world.instance.name),
      listens: (address) => inside.request({ do: "listens", address }) as Promise<Heard>,
    });
  }

  function filesOf(
    services: readonly ResourceSpec[],
    servers: DnsServers = dns,
    silent: ReadonlySet<string> = new Set(),
  ): ResolverFiles {
    const { serversFile, pidFile } = resolverPaths(world.instance.folder);
    return resolverFiles(servers, services, { tunnel, serversFile, pidFile, user: "root" }, silent);
  }

  /** As the data path does it: the sets first, then who fills them. */
  async function serve(services: readonly ResourceSpec[], servers: DnsServers = dns): Promise<void> {
    const firewall = await table.apply(firewallOf({ ...planOf([staff], services), dns: servers }, tunnel));
    if (!firewall.ok) throw firewall.failure;
    const applied = await resolver.apply(filesOf(services, servers));
    if (!applied.ok) throw applied.failure;
  }

  const resolve = (name: string, type: "A" | "AAAA" = "A") =>
    world.users.request({ do: "resolve", from: staff.ipv4 ?? "", server: "100.64.0.1", name, type });
  const repeated = (name: string) =>
    world.users.request({ do: "repeat", from: staff.ipv4 ?? "", server: "100.64.0.1", name });
  const pelt = async (forMs: number) =>
    JSON.parse(
      await world.users.request({ do: "pelt", from: staff.ipv4 ?? "", server: "100.64.0.1", forMs }),
    ) as {
      asked: number;
      answered: number;
    };
  const set = (name: string) => world.instance.must("nft", "list", "set", "inet", "connector", name);

  test("it listens on the tunnel's addresses and nowhere else", async () => {
    const sockets = await runIn(world.instance.name, "ss", "-lntuH");
    const listening = [...sockets.matchAll(/(\S+):53\s/g)].map(([, address]) => address);
    expect(listening.sort()).toEqual(["100.64.0.1", "100.64.0.1", "[fd01::1]", "[fd01::1]"]);
  });

  test("an application is reached by its name, both families, once the name was asked for, and not before", async () => {
    await world.vpc.serve("tcp", app.ipv4, 80, 81);
    await world.vpc.serve("tcp", app.ipv6, 80);
    expect(await world.users.ask(staff.ipv4 ?? "", "tcp", app.ipv4, 80)).toBe("silence");
    expect(JSON.parse(await resolve("app.internal"))).toEqual([{ address: app.ipv4, ttl: 300 }]);
    expect(JSON.parse(await resolve("app.internal", "AAAA"))).toEqual([{ address: app.ipv6, ttl: 300 }]);
    // From the cache.
    const [cached] = JSON.parse(await resolve("app.internal")) as { ttl: number }[];
    expect(cached?.ttl).toBeLessThanOrEqual(cachedForMs / 1000);
    expect(await world.users.reach(staff.ipv4 ?? "", "tcp", app.ipv4, 80)).toBe(staff.ipv4);
    expect(await world.users.reach(staff.ipv6 ?? "", "tcp", app.ipv6, 80)).toBe(staff.ipv6);
    expect(await world.users.ask(staff.ipv4 ?? "", "tcp", app.ipv4, 81)).toBe("silence");
  });

  test("a device that never asked here reaches an application by the address it knows from before", async () => {
    await serve([web, service("none", "no-such-name.internal", "any", ["staff"])]);
    await world.vpc.serve("tcp", app.ipv4, 80);
    await world.vpc.serve("tcp", app.ipv6, 80);
    const both = (how: "ask" | "reach") =>
      Promise.all([
        world.users[how](staff.ipv4 ?? "", "tcp", app.ipv4, 80),
        world.users[how](staff.ipv6 ?? "", "tcp", app.ipv6, 80),
      ]);
    const reached = [staff.ipv4, staff.ipv6];
    const keep = () =>
      inside.request({
        do: "keep",
        names: ["app.internal", "no-such-name.internal"],
        pid: resolver.pid ?? 0,
        address: "100.64.0.1",
      });
    expect(await both("ask")).toEqual(["silence", "silence"]);
    await keep();
    const isLearned = async () => {
      const sets = await Promise.all(learnedSets("app.internal").map(({ now }) => set(now)));
      return [app.ipv4, app.ipv6].every((address, i) => sets[i]?.includes(address));
    };
    await until("it is learned", isLearned);
    expect(await both("reach")).toEqual(reached);
    // What another process has in its cache, or never had, is nothing that this one learned.
    await table.age();
    const { pid = 0 } = resolver;
    process.kill(pid, "SIGKILL");
    await until("it runs again", () => resolver.pid !== undefined && resolver.pid !== pid);
    await keep();
    await until("it is learned again", isLearned);
    await table.age();
    expect(await both("reach")).toEqual(reached);
  });

  test("an address is known until its second step of age after the last answer, and a new answer renews it", async () => {
    await resolve("app.internal");
    const reach = () => world.users.reach(staff.ipv4 ?? "", "tcp", app.ipv4, 80);
    await world.vpc.serve("tcp", app.ipv4, 80);
    await table.age();
    expect(await reach()).toBe(staff.ipv4);
    // The cache answers by itself for as long as the first step lasts; emptied, dnsmasq asks and learns again.
    process.kill(resolver.pid ?? 0, "SIGHUP");
    await until("the answer is learned again", async () => {
      await resolve("app.internal");
      return (await set(learnedSets("app.internal")[0].now)).includes(app.ipv4);
    });
    await table.age();
    expect(await reach()).toBe(staff.ipv4);
    await table.age();
    expect(await world.users.ask(staff.ipv4 ?? "", "tcp", app.ipv4, 80)).toBe("silence");
  });

  test("names below a domain are its own, and fill the sets of every domain above them", async () => {
    await serve([web, service("deep", "*.deep.app.internal", "tcp 22", ["staff"])]);
    await resolve("deep.app.internal");
    for (const domain of ["app.internal", "deep.app.internal"]) {
      expect(await set(learnedSets(domain)[0].now)).toContain("10.0.0.6");
    }
    await resolve("other.internal");
    expect(await world.instance.must("nft", "list", "table", "inet", "connector")).not.toContain("10.0.0.8");
  });

  test("the primary answers while it can, the secondary when it does not", async () => {
    using instance = new Applications(world.instance.name);
    expect(await resolve("who.internal")).toContain("10.9.9.1");
    // A signal is handled a moment later than it is sent.
    // And an answer that was on its way when the cache was emptied stays in it.
    const answersFrom = (address: string, ask = resolve) =>
      until(`answers of ${address}`, async () => {
        process.kill(resolver.pid ?? 0, "SIGHUP");
        return (await ask("who.internal")).includes(address);
      });
    const silent = () => instance.request({ do: "watch", servers: serversOf(dns) });

    const first = silent();
    primary.fallSilent();
    // A device that repeats its query as it was is answered by the secondary at once.
    await answersFrom("10.9.9.2", repeated);
    // And every device, once the agent has noticed.
    expect(await first).toBe("10.0.0.2");
    await resolver.apply(filesOf([web], dns, new Set(["10.0.0.2"])));
    await answersFrom("10.9.9.2");

    const second = silent();
    primary.speakAgain();
    expect(await second).toBe("");
    await resolver.apply(filesOf([web], dns));
    await answersFrom("10.9.9.1");

    const third = silent();
    primary[Symbol.dispose]();
    expect(await third).toBe("10.0.0.2");
  });

  test("new servers are taken over without losing a query", async () => {
    const { pid } = resolver;
    const counting = pelt(1_500);
    for (const servers of [
      { primary: "10.0.0.3" },
      dns,
      { primary: "10.0.0.3" },
      dns,
      { primary: "10.0.0.3" },
    ]) {
      await serve([web], servers);
      await until("queries go on", async () => (await resolve("steady.internal")).includes("10.0.0.7"));
    }
    const { asked, answered } = await counting;
    expect(answered).toBe(asked);
    expect(resolver.pid).toBe(pid);
    await until("the other server answers", async () => (await resolve("who.internal")).includes("10.9.9.2"));
  });

  test("a new domain takes a restart, and the queries of a few milliseconds", async () => {
    const { pid } = resolver;
    const counting = pelt(1_000);
    await serve([web, service("other", "other.internal", "tcp 80", ["staff"])]);
    expect(resolver.pid).not.toBe(pid);
    await resolve("other.internal");
    expect(await set(learnedSets("other.internal")[0].now)).toContain("10.0.0.8");
    const { asked, answered } = await counting;
    console.log(`dnsmasq restarted: ${asked - answered} of ${asked} queries were lost at one every 2 ms`);
    expect(answered).toBeGreaterThan(asked * 0.8);
  });

  test("nothing that is the same is done again", async () => {
    const { pid } = resolver;
    await serve([web]);
    expect(resolver.pid).toBe(pid);
  });

  test("killed, it is started again; told to end, it is not", async () => {
    const { pid = 0 } = resolver;
    process.kill(pid, "SIGKILL");
    await until("it runs again", () => resolver.pid !== undefined && resolver.pid !== pid);
    expect(await resolve("who.internal")).toContain("10.9.9.1");
    await resolver.apply(undefined);
    expect(await runIn(world.instance.name, "ss", "-lnuH")).not.toContain(":53");
    expect(resolver.problem).toBeUndefined();
  });

  test("one that runs and does not answer is started anew, and told of until it answers", async () => {
    const { pid = 0 } = resolver;
    primary.fallSilent();
    secondary.fallSilent();
    await until(
      "it was asked",
      async () => (await inside.request({ do: "listens", address: "100.64.0.1" })) === "answer",
    );
    process.kill(pid, "SIGSTOP");
    await until("there is another", () => resolver.pid !== undefined && resolver.pid !== pid, 15_000);
    expect(resolver.problem?.facts.error).toBe("it runs and does not answer");
    await until("it answers", () => resolver.problem === undefined);
    expect(log.lines.filter(({ text }) => /does not answer/.test(text))).toHaveLength(1);
  }, 30_000);

  test("without its address it is left alone, and listens as soon as that is back", async () => {
    const { pid } = resolver;
    const ip = (...words: string[]) => world.instance.must("ip", "address", ...words, "dev", "cb0");
    await ip("del", "100.64.0.1/32");
    await until("it is noticed", () => resolver.problem?.facts.error === "its address is on no interface");
    await ip("add", "100.64.0.1/32");
    await until("it answers", () => resolver.problem === undefined);
    expect(resolver.pid).toBe(pid);
  }, 30_000);

  test("a file with the process id that was lost does not leave two of them", async () => {
    const { pid = 0 } = resolver;
    rmSync(resolverPaths(world.instance.folder).pidFile);
    await until("there is another", () => resolver.pid !== undefined && resolver.pid !== pid);
    // One that has ended is in /proc until its parent has been told.
    await until("the first is gone", () => !existsSync(`/proc/${pid}`));
    expect(await resolve("who.internal")).toContain("10.9.9.1");
  });

  test("servers that an agent wrote before it was killed are taken by the next", async () => {
    expect(await resolve("who.internal")).toContain("10.9.9.1");
    await resolver[Symbol.asyncDispose]();
    const wanted = filesOf([web], { primary: "10.0.0.3" });
    writeFileSync(resolverPaths(world.instance.folder).serversFile, wanted.servers);
    resolver = service1();
    expect((await resolver.apply(wanted)).ok).toBe(true);
    await until("the other server answers", async () => (await resolve("who.internal")).includes("10.9.9.2"));
  });

  test("what comes with a configuration that is refused is not half taken", async () => {
    const { config, listen, servers } = filesOf([web], { primary: "10.0.0.3" });
    expect((await resolver.apply({ config: `${config}no-such-option\n`, servers, listen })).ok).toBe(false);
    expect(readFileSync(resolverPaths(world.instance.folder).serversFile, "utf8")).not.toBe(servers);
    expect((await resolver.apply({ config, servers, listen })).ok).toBe(true);
    await until("the other server answers", async () => (await resolve("who.internal")).includes("10.9.9.2"));
  });

  test("its log does not grow for ever", async () => {
    const { logFile } = resolverPaths(world.instance.folder);
    appendFileSync(logFile, "word\n".repeat(400_000));
    await until("it is cut", () => statSync(logFile).size < 1_000_000);
  });

  test("it outlives the agent, and the next one takes it over", async () => {
    const { pid } = resolver;
    await resolver[Symbol.asyncDispose]();
    expect(await resolve("who.internal")).toContain("10.9.9.1");
    resolver = service1();
    await serve([web]);
    expect(resolver.pid).toBe(pid);
    process.kill(pid ?? 0, "SIGKILL");
    await until("it is watched", () => resolver.pid !== undefined && resolver.pid !== pid);
  });

  test("a configuration that it refuses leaves the one that runs", async () => {
    const { pid } = resolver;
    const { config, servers, listen } = filesOf([web]);
    const refused = await resolver.apply({ config: `${config}no-such-option\n`, servers, listen });
    expect(refused.ok ? "" : String(refused.failure.facts.error)).toMatch(/bad option|no-such-option/);
    expect(resolver.pid).toBe(pid);
    expect(await resolve("who.internal")).toContain("10.9.9.1");
    expect(readFileSync(resolverPaths(world.instance.folder).configFile, "utf8")).toBe(config);
  });

  test("a port that another holds is named, and taken as soon as it is free", async () => {
    await resolver.apply(undefined);
    using squatter = await new DnsServer(
      world.instance.name,
      world.instance.folder,
      "100.64.0.1",
      [],
    ).ready();
    const applied = await resolver.apply(filesOf([web]));
    expect(applied.ok ? "" : String(applied.failure.facts.error)).toMatch(/address already in use/i);
    expect(resolver.problem?.code).toBe("datapath.failing");
    squatter[Symbol.dispose]();
    await until("it runs", () => resolver.pid !== undefined);
    expect(resolver.problem).toBeUndefined();
  });

  test("CAP_NET_ADMIN is enough where port 53 is open to all", async () => {
    await resolver.apply(undefined);
    await resolver[Symbol.asyncDispose]();
    const capabilities = "-all,+net_admin";
    await runIn(world.instance.name, "sh", "-c", "echo 53 >/proc/sys/net/ipv4/ip_unprivileged_port_start");
    // What root writes here belongs to the group of who reads it: the agent and dnsmasq are one user in the product.
    chownSync(world.instance.folder, 65534, 65534);
    chmodSync(world.instance.folder, 0o2770);
    for (const path of Object.values(resolverPaths(world.instance.folder))) rmSync(path, { force: true });
    resolver = new Dnsmasq({
      folder: world.instance.folder,
      log: log.log,
      inside: [
        ...insideOf(world.instance.name),
        ...["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"],
        ...["--inh-caps", capabilities, "--ambient-caps", capabilities, "--bounding-set", capabilities],
      ],
    });
    const { serversFile, pidFile } = resolverPaths(world.instance.folder);
    const files = resolverFiles(dns, [web], { tunnel, serversFile, pidFile, user: "nobody" });
    const applied = await resolver.apply(files);
    if (!applied.ok) throw applied.failure;
    await resolve("app.internal");
    expect(await set(learnedSets("app.internal")[0].now)).toContain(app.ipv4);
    expect(readFileSync(`/proc/${resolver.pid}/status`, "utf8")).toMatch(/^Uid:\s+65534/m);
  });
});

test("one that ends as soon as it runs is started after longer and longer waits", async () => {
  using folder = temporaryFolder();
  const { pidFile } = resolverPaths(folder.path);
  const starts = join(folder.path, "starts");
  const script = [
    "#!/bin/sh",
    'case "$1" in --version) echo "Dnsmasq version 2.90"; echo "options: nftset"; exit;; --test) exit;; esac',
    // When, by the monotonic clock: whoever looks at it may be late.
    `read up idle </proc/uptime; echo $up >> ${starts}; echo $$ > ${pidFile}`,
    "/bin/sleep 0.1; echo cannot go on >&2; exit 1",
  ];
  writeFileSync(join(folder.path, "dnsmasq"), script.join("\n"), { mode: 0o755 });
  const log = keepingLog();
  await using resolver = new Dnsmasq({
    folder: folder.path,
    log: log.log,
    inside: ["/usr/bin/env", `PATH=${folder.path}`],
  });
  expect((await resolver.apply({ config: "", servers: "", listen: [] })).ok).toBe(true);
  await until("it ended", () => resolver.problem !== undefined);
  expect(resolver.problem?.facts.error).toBe("cannot go on");
  const startedAtS = () => readFileSync(starts, "utf8").trimEnd().split("\n").map(Number);
  await until("5 starts", () => startedAtS().length >= 5);
  const [, , , fourthS = 0, fifthS = 0] = startedAtS();
  // 800 ms of waiting; without, what looks after it comes by every 250.
  expect(fifthS - fourthS).toBeGreaterThan(0.7);
  await resolver.apply(undefined);
});

describe("a dnsmasq that cannot be used", () => {
  test.each([
    ["missing", undefined, /dnsmasq.*No such file/],
    ["too old", "echo 'Dnsmasq version 2.86'; echo 'options: nftset'", /2\.86 is too old/],
    [
      "without nftset",
      "echo 'Dnsmasq version 2.90'; echo 'options: IPv6 no-nftset DNSSEC'",
      /without nftset/,
    ],
    ["failing", "echo 'cannot run' >&2; exit 1", /cannot run/],
    ["not dnsmasq", "echo hello", /not understood/],
  ])("%s: datapath.failing with the command, and tried again", async (_what, script, error) => {
    using folder = temporaryFolder();
    if (script !== undefined) {
      writeFileSync(join(folder.path, "dnsmasq"), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    }
    const log = keepingLog();
    await using resolver = new Dnsmasq({
      folder: join(folder.path, "run"),
      log: log.log,
      inside: ["/usr/bin/env", `PATH=${folder.path}`],
    });
    const applied = await resolver.apply({ config: "", servers: "", listen: [] });
    expect(applied.ok ? undefined : applied.failure.code).toBe("datapath.failing");
    expect(applied.ok ? "" : String(applied.failure.facts.error)).toMatch(error);
    expect(applied.ok ? "" : String(applied.failure.facts.command)).toMatch(/^dnsmasq --version/);
    const first = resolver.problem;
    await until("it was tried again", () => resolver.problem !== first);
    expect(resolver.problem?.message).toBe(first?.message);
    expect(log.lines.filter(({ level }) => level === "warn")).toHaveLength(1);
  });
});
