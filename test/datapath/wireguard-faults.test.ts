import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { commandRunner, type Run } from "../../protocol/node/command.ts";
import { controlSocketOf } from "../../protocol/node/wireguard/uapi.ts";
import { UserspaceWireguard } from "../../protocol/node/wireguard/userspace.ts";
import { logFileOf } from "../../protocol/node/wireguard/wireguard-go.ts";
import { temporaryFolder } from "../support/folder.ts";
import {
  insideOf,
  interfaceName,
  noNamespaces,
  pings,
  reaches,
  runIn,
  TestHosts,
} from "../support/namespaces.ts";
import { keepingLog } from "../support/quiet-log.ts";
import { until } from "../support/until.ts";
import { must } from "./wireguard-hosts.ts";
import {
  applied,
  hang,
  instance,
  listenPort,
  processOf,
  routes,
  tunnelAddress,
} from "./wireguard-instance.ts";
import { keyOf } from "./wireguard-model.ts";

const title = noNamespaces === undefined ? "the tunnel" : `the tunnel (${noNamespaces})`;

describe.skipIf(noNamespaces)(title, () => {
  test("a device with the instance's own key gets nowhere, and disturbs nobody", async () => {
    const { tunnel, device, granted, key } = await instance();
    const liar = {
      ...granted,
      session: "s2",
      wireguardKey: key.publicKey,
      ipv4: "10.0.1.18",
      ipv6: undefined,
    };
    // The last letter of a key holds two bits that do not count.
    const alias = { ...liar, session: "s3", wireguardKey: `${keyOf(1).slice(0, -1)}B`, ipv4: "10.0.1.19" };
    const nobody = { ...liar, session: "s4", wireguardKey: keyOf(-1), ipv4: "10.0.1.20" };
    expect(await applied(tunnel, granted, liar, alias, nobody)).toEqual({
      routes,
      peers: 2,
      drift: [],
    });
    expect(await reaches(device.namespace, tunnelAddress)).toBe(true);
  });

  test("a second secret, a mark and another key that were set by hand are named, and undone", async () => {
    const { tunnel, device, granted, name, namespace } = await instance();
    await applied(tunnel, granted);
    expect(await reaches(device.namespace, tunnelAddress)).toBe(true);
    using folder = temporaryFolder();
    const secret = join(folder.path, "secret");
    writeFileSync(secret, Buffer.alloc(32, 7).toString("base64"));
    const peer = Buffer.from(granted.wireguardKey, "base64url").toString("base64");
    await runIn(namespace, "wg", "set", name, "fwmark", "0x5", "peer", peer, "preshared-key", secret);
    expect(must(await tunnel.compare()).drift).toEqual([
      `${name} has the fwmark 5`,
      `${name} has 1 changed peer`,
    ]);
    await runIn(namespace, "wg", "set", name, "private-key", secret);
    expect(must(await tunnel.compare()).drift).toContain(`${name} has another private key`);
    const roamed = await runIn(namespace, "wg", "show", name, "endpoints");
    expect(await applied(tunnel, granted)).toMatchObject({ drift: [] });
    expect(await runIn(namespace, "wg", "show", name, "endpoints")).toBe(roamed);
    await until("traffic", () => pings(device.namespace, tunnelAddress));
  });

  test("a port that another process has is named, and taken when it is free", async () => {
    const { tunnel, granted, namespace } = await instance();
    const socket = 'require("node:dgram").createSocket("udp4")';
    const program = `${socket}.bind(${listenPort}, () => console.log("bound"))`;
    const squatter = await spawned("ip", "netns", "exec", namespace, process.execPath, "-e", program);
    await expect(applied(tunnel, granted)).rejects.toMatchObject({
      facts: { error: `UDP port ${listenPort} is taken by another process` },
    });
    squatter.kill("SIGKILL");
    await once(squatter, "close");
    expect(await applied(tunnel, granted)).toMatchObject({ peers: 1, drift: [] });
  });

  test("prefixes that would take the host off its network are refused, and the others are routed", async () => {
    const { tunnel, granted, namespace } = await instance();
    await runIn(namespace, "ip", "link", "add", "e0", "type", "veth", "peer", "name", "e1");
    for (const command of [
      "link set e0 up",
      "link set e1 up",
      "address add 10.0.1.20/28 dev e0",
      "address add 2001:db8:1::5/80 dev e0 nodad",
      "route add 10.0.2.0/28 dev e0",
      "route add default via 10.0.1.30",
      "-6 route add 2001:db8:2::/80 dev e0 metric 256",
    ]) {
      await runIn(namespace, "ip", ...command.split(" "));
    }
    const before = await runIn(namespace, "ip", "route", "show", "dev", "e0");
    const plan = { routes: [...routes, "10.0.2.0/28", "10.0.3.0/28", "2001:db8:2::/80"] };
    const state = await applied(tunnel, granted, plan);
    expect(state).toMatchObject({ routes: ["10.0.3.0/28", "2001:db8:2::/80"], peers: 1 });
    expect(state.drift).toEqual([
      "10.0.1.16/28 is not routed: it holds 10.0.1.20 of e0",
      "2001:db8:1::/80 is not routed: it holds 2001:db8:1::5 of e0",
      "10.0.2.0/28 is not routed: it is a route of e0",
    ]);
    expect(await runIn(namespace, "ip", "route", "show", "dev", "e0")).toBe(before);
    // A route of another interface to the same prefix does not come before ours.
    expect(await runIn(namespace, "ip", "route", "get", "2001:db8:2::9")).not.toContain("e0");
  });

  test("a host without IPv6 has its IPv4, and what failed is named", async () => {
    const { tunnel, device, granted, namespace } = await instance();
    await runIn(namespace, "sh", "-c", "echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6");
    await runIn(namespace, "sh", "-c", "echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6");
    await expect(applied(tunnel, granted, { routes: routes.toReversed() })).rejects.toMatchObject({
      facts: { error: expect.stringContaining("disabled"), line: expect.stringContaining("2001:db8:1::/80") },
    });
    expect(await reaches(device.namespace, tunnelAddress)).toBe(true);
    expect(await runIn(namespace, "ip", "route")).toContain("10.0.1.16/28");
    expect(await applied(tunnel, granted, { routes: ["10.0.1.16/28"] })).toMatchObject({ drift: [] });
  });

  test.each([
    ["is renamed", "name other0"],
    ["is set down", "down"],
  ])("the interface %s: it is there again", async (_what, change) => {
    const { tunnel, device, granted, name, namespace } = await instance();
    await applied(tunnel, granted);
    await runIn(namespace, "ip", "link", "set", "dev", name, "down");
    await runIn(namespace, "ip", "link", "set", "dev", name, ...change.split(" "));
    await until("applied", async () => (await applied(tunnel, granted).catch(() => undefined))?.peers === 1);
    expect(must(await tunnel.compare()).drift).toEqual([]);
    await until("traffic", () => pings(device.namespace, tunnelAddress));
    expect(await runIn(namespace, "ip", "link")).not.toContain("other0");
  });

  test("a name that something else has is left to it", async () => {
    const { tunnel, granted, name, namespace } = await instance();
    await runIn(namespace, "ip", "link", "add", name, "type", "veth", "peer", "name", "e1");
    await expect(applied(tunnel, granted)).rejects.toMatchObject({ code: "datapath.failing" });
    expect(await runIn(namespace, "ip", "-d", "link", "show", name)).toContain("veth");
  });

  test("a control socket that a dead process left is no obstacle", async () => {
    const { tunnel, granted, name } = await instance();
    const server = await spawned(process.execPath, "-e", listening(controlSocketOf(name)));
    server.kill("SIGKILL");
    await once(server, "close");
    expect(existsSync(controlSocketOf(name))).toBe(true);
    expect(await applied(tunnel, granted)).toMatchObject({ peers: 1, drift: [] });
  });

  test("a process that hangs is killed where it belongs, and not its namesake elsewhere", async () => {
    const { tunnel, granted, name, renewed } = await instance({ answerWithinMs: 1_000 });
    await applied(tunnel, granted);
    const original = processOf(name);
    using hosts = new TestHosts();
    const elsewhere = insideOf(hosts.add("elsewhere"));
    // The same words, in another namespace.
    using folder = temporaryFolder();
    const words = `cd ${folder.path} && touch ${name} && exec -a wireguard-go tail -f ${name}`;
    const namesake = spawn("ip", [...elsewhere.slice(1), "bash", "-c", words], { stdio: "ignore" });
    onTestFinished(() => void namesake.kill("SIGKILL"));
    const cmdline = `wireguard-go\0-f\0${name}\0`;
    await until("it runs", () => readFileSync(`/proc/${namesake.pid}/cmdline`, "utf8") === cmdline);
    await hang(original);
    await tunnel.compare();
    await tunnel.compare();
    await until("renewed", () => renewed.some((result) => result.ok));
    expect(namesake.exitCode ?? namesake.signalCode).toBeNull();
  });

  test("a process that ends while it is taken over is started anew", async () => {
    const { tunnel, granted, name, namespace } = await instance();
    await applied(tunnel, granted);
    const original = processOf(name);
    tunnel[Symbol.dispose]();
    const inside = insideOf(namespace);
    const run = commandRunner(inside);
    const ending: Run = async (argv, options) => {
      const answer = await run(argv, options);
      process.kill(original, "SIGKILL");
      await until("it has ended", async () => (await run(["ip", "link", "show", name])).ok === false);
      return answer;
    };
    using next = new UserspaceWireguard({
      ...{ name, inside, run: ending, log: keepingLog().log, onMade: () => undefined },
    });
    expect(await next.ensure()).toEqual({ ok: true, value: "made" });
    expect(processOf(name)).not.toBe(original);
  });

  test("a process that ends again and again is started ever more slowly", { timeout: 20_000 }, async () => {
    const { tunnel, granted, name, renewed } = await instance();
    await applied(tunnel, granted);
    const waits: number[] = [];
    for (let round = 1; round <= 5; round++) {
      const begunMs = performance.now();
      process.kill(processOf(name), "SIGKILL");
      await until("renewed", () => renewed.length === round);
      waits.push(performance.now() - begunMs);
    }
    for (const [i, waitMs] of waits.entries()) expect(waitMs).toBeGreaterThan(79 * 2 ** i);
    expect(renewed.every((result) => result.ok)).toBe(true);
  });

  test("it is killed while an apply runs: the apply fails or not, and the next one is whole", async () => {
    const { tunnel, device, granted, name } = await instance();
    await applied(tunnel, granted);
    const others = Array.from({ length: 500 }, (_, i) => ({
      ...{ ...granted, session: `m${i}`, wireguardKey: keyOf(i + 10), ipv6: undefined },
      ipv4: `10.9.${i >> 8}.${i & 255}`,
    }));
    const applying = applied(tunnel, granted, ...others).catch(() => undefined);
    await until("it is under way", () => true);
    process.kill(processOf(name), "SIGKILL");
    await applying;
    await until("whole", async () => {
      const state = await applied(tunnel, granted, ...others).catch(() => undefined);
      return state?.peers === 501 && state.drift.length === 0;
    });
    await until("traffic", () => pings(device.namespace, tunnelAddress));
  });

  test("readings and changes leave no descriptor open", { timeout: 60_000 }, async () => {
    const { tunnel, granted } = await instance();
    const other = { ...granted, session: "s2", wireguardKey: keyOf(2), ipv4: "10.0.1.18", ipv6: undefined };
    await applied(tunnel, granted);
    const before = readdirSync("/proc/self/fd").length;
    for (let i = 0; i < 20; i++) await applied(tunnel, granted, ...(i % 2 === 0 ? [other] : []));
    for (let i = 0; i < 300; i++) must(await tunnel.traffic());
    expect(readdirSync("/proc/self/fd").length).toBeLessThan(before + 8);
  });

  test("two plans at once: each is compared with itself", async () => {
    const { tunnel, granted } = await instance();
    const states = await Promise.all([applied(tunnel, granted), applied(tunnel), applied(tunnel, granted)]);
    expect(states).toMatchObject([1, 0, 1].map((peers) => ({ peers, drift: [] })));
  });

  test("what the process says is kept short", async () => {
    const { tunnel, granted, name } = await instance();
    await applied(tunnel, granted);
    const log = logFileOf(name);
    appendFileSync(log, "x".repeat(2_000_000));
    must(await tunnel.traffic());
    expect(statSync(log).size).toBe(0);
  });

  test("a removal ends, also of a process that nothing ends", async () => {
    const { tunnel, granted, name } = await instance();
    await applied(tunnel, granted);
    must(await tunnel.remove());
    // It has the name, and is not wireguard-go.
    const squatter = await spawned(process.execPath, "-e", listening(controlSocketOf(name)));
    const begunMs = performance.now();
    expect(await tunnel.remove()).toMatchObject({
      ok: false,
      failure: { facts: { error: expect.any(String) } },
    });
    expect(performance.now() - begunMs).toBeLessThan(8_000);
    squatter.kill("SIGKILL");
    await once(squatter, "close");
  });
});

/** A program that has said its first word. */
async function spawned(file: string, ...args: string[]): Promise<ChildProcess> {
  const child = spawn(file, args, { stdio: ["ignore", "pipe", "inherit"] });
  onTestFinished(() => void child.kill("SIGKILL"));
  await once(child.stdout, "data");
  return child;
}

function listening(path: string): string {
  return `require("node:net").createServer().listen("${path}", () => console.log("listening"))`;
}

describe("a command", () => {
  test("that a grandchild outlives is given up, with its pipes", async () => {
    const run = commandRunner();
    const before = readdirSync("/proc/self/fd").length;
    const answers = await Promise.all(
      Array.from({ length: 5 }, () => run(["sh", "-c", "sleep 5 & sleep 5"], { timeoutMs: 100 })),
    );
    expect(answers[0]).toMatchObject({ ok: false, failure: { facts: { error: "no end within 100 ms" } } });
    await until("closed", () => readdirSync("/proc/self/fd").length <= before + 1, 2_000);
  });

  test("that cannot be started is a failure, not an exception", async () => {
    const run = commandRunner();
    expect(await run(["true", "x".repeat(3_000_000)])).toMatchObject({ ok: false });
    expect(await run(["true", "a\0b"])).toMatchObject({ ok: false });
    expect(await run([interfaceName()])).toMatchObject({ ok: false });
  });
});
