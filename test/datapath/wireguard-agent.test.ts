import { execFileSync, spawn } from "node:child_process";
import { readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { Tunnel } from "../../agent/adapters/wireguard.ts";
import type { DataPathPeer } from "../../agent/core/ports.ts";
import { tunnelPlan } from "../../agent/core/tunnel.ts";
import { systemClock } from "../../protocol/node/clock.ts";
import { makeWireguardKey } from "../../protocol/node/keys.ts";
import { temporaryFolder } from "../support/folder.ts";
import { testLog } from "../support/log.ts";
import {
  insideOf,
  interfaceName,
  noNamespaces,
  pingSteadily,
  pings,
  reaches,
  runIn,
} from "../support/namespaces.ts";
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

const title = noNamespaces === undefined ? "the agent's tunnel" : `the agent's tunnel (${noNamespaces})`;

describe.skipIf(noNamespaces)(title, () => {
  test("is brought to a plan, read back, and again to the next", async () => {
    const { tunnel, device, granted } = await instance();
    expect(await applied(tunnel, granted)).toEqual({ routes, peers: 1, drift: [] });
    expect(await reaches(device.namespace, tunnelAddress)).toBe(true);
    expect(await applied(tunnel)).toMatchObject({ peers: 0, drift: [] });
    expect(await pings(device.namespace, tunnelAddress, "-W", "0.3")).toBe(false);
  });

  test("tells what each session's device sent, and when it was heard", async () => {
    const { tunnel, device, granted } = await instance();
    await applied(tunnel, granted);
    expect(must(await tunnel.traffic()).get("s1")).toMatchObject({ rxBytes: 0, heardAtMs: undefined });
    expect(await reaches(device.namespace, tunnelAddress)).toBe(true);
    const traffic = must(await tunnel.traffic()).get("s1");
    expect(traffic?.rxBytes).toBeGreaterThan(100);
    expect(systemClock().monotonicMs - (traffic?.heardAtMs ?? 0)).toBeLessThan(5_000);
    expect(traffic?.endpoint).toMatch(/^10\.77\.0\.2:/);
  });

  test("what somebody else changed is named, and repaired by the next apply", async () => {
    const { tunnel, namespace, name, granted } = await instance();
    await applied(tunnel, granted);
    await runIn(namespace, "ip", "route", "del", "10.0.1.16/28", "dev", name);
    await runIn(namespace, "ip", "route", "add", "10.66.0.0/16", "dev", name);
    await runIn(namespace, "ip", "link", "set", "dev", name, "mtu", "1300");
    const foreign = Buffer.from(keyOf(7), "base64url").toString("base64");
    await runIn(namespace, "wg", "set", name, "peer", foreign, "allowed-ips", "10.0.1.17/32");
    expect(must(await tunnel.compare()).drift).toEqual([
      `${name} has the MTU 1300 instead of 1420`,
      `${name} lacks the route 10.0.1.16/28`,
      `${name} has the route 10.66.0.0/16 besides`,
      `${name} has 1 changed peer`,
      `${name} has 1 peer besides`,
    ]);
    expect(await applied(tunnel, granted)).toEqual({ routes, peers: 1, drift: [] });
  });

  test("a device comes and goes without a command: what was just read is taken to be so", async () => {
    const { tunnel: before, device, namespace, name, key, granted } = await instance();
    await applied(before);
    before[Symbol.dispose]();
    using folder = temporaryFolder();
    const asked = join(folder.path, "asked");
    const script = `echo "$*" >>${asked}; exec ip netns exec ${namespace} "$@"`;
    let nowMs = 0;
    const options = {
      ...{ name, inside: ["sh", "-c", script, "asked"], key, listenPort, log: testLog().log },
      ...{ clock: () => ({ monotonicMs: nowMs, wallMs: 0 }), onRenewed: () => undefined },
    };
    using tunnel = must(await Tunnel.open(options));
    expect(await applied(tunnel)).toEqual({ routes, peers: 0, drift: [] });
    expect(readFileSync(asked, "utf8")).toContain("route show");
    writeFileSync(asked, "");
    expect(await applied(tunnel, granted)).toEqual({ routes, peers: 1, drift: [] });
    expect(await reaches(device.namespace, tunnelAddress)).toBe(true);
    expect(await applied(tunnel)).toEqual({ routes, peers: 0, drift: [] });
    expect(readFileSync(asked, "utf8")).toBe("");
    // What others change meanwhile is found ten seconds later, if nobody looks before.
    await runIn(namespace, "ip", "route", "del", "10.0.1.16/28", "dev", name);
    nowMs += 10_000;
    expect(await applied(tunnel, granted)).toEqual({ routes, peers: 1, drift: [] });
    expect(await runIn(namespace, "ip", "route", "show", "dev", name)).toContain("10.0.1.16/28");
  });

  test("wireguard-go is killed while traffic runs: a new one is there, and the devices are called back", async () => {
    const { tunnel, device, namespace, name, granted, renewed } = await instance();
    await applied(tunnel, granted);
    expect(await reaches(device.namespace, tunnelAddress)).toBe(true);
    must(await tunnel.traffic());
    const pinging = pingSteadily(device.namespace, tunnelAddress);
    await pinging.more(10);
    process.kill(processOf(name), "SIGKILL");
    const [state] = await until("renewed", () => (renewed.length > 0 ? renewed : undefined));
    expect(state).toMatchObject({ ok: true, value: { peers: 1, drift: [] } });
    await pinging.more(10);
    const { sent, lost } = await pinging.stop();
    console.log(`wireguard-go killed: ${lost} of ${sent} echoes at 20 ms lost, ${lost * 20} ms`);
    expect(lost).toBeLessThan(100);
    expect(await runIn(namespace, "wg", "show", name, "persistent-keepalive")).toContain("off");
  });

  test("the interface is deleted: it is made again", async () => {
    const { tunnel, device, namespace, name, granted, renewed } = await instance();
    await applied(tunnel, granted);
    expect(await reaches(device.namespace, tunnelAddress)).toBe(true);
    must(await tunnel.traffic());
    await runIn(namespace, "ip", "link", "delete", "dev", name);
    await until("renewed", () => renewed.some((result) => result.ok));
    await until("traffic", () => pings(device.namespace, tunnelAddress, "-W", "0.1"));
  });

  test("wireguard-go hangs: it is killed, and a new one is there", async () => {
    const { tunnel, device, name, granted, renewed } = await instance({ answerWithinMs: 1_000 });
    await applied(tunnel, granted);
    expect(await reaches(device.namespace, tunnelAddress)).toBe(true);
    must(await tunnel.traffic());
    await hang(processOf(name));
    const answers = [await tunnel.compare(), await tunnel.compare()];
    expect(answers).toMatchObject([{ ok: false }, { ok: false, failure: { code: "datapath.failing" } }]);
    await until("renewed", () => renewed.some((result) => result.ok));
    await until("traffic", () => pings(device.namespace, tunnelAddress, "-W", "0.1"));
  });

  test("wireguard-go that is not installed, or does not start, is named", async () => {
    const { namespace } = await instance();
    const folder = temporaryFolder();
    onTestFinished(() => folder[Symbol.dispose]());
    symlinkSync(execFileSync("which", ["ip"], { encoding: "utf8" }).trim(), join(folder.path, "ip"));
    const open = async (env: readonly string[]) => {
      const options = { key: makeWireguardKey(), listenPort, clock: systemClock, log: testLog().log };
      const inside = [...insideOf(namespace), "env", ...env];
      const tunnel = await Tunnel.open({
        ...options,
        name: interfaceName(),
        inside,
        onRenewed: () => undefined,
      });
      onTestFinished(async () => {
        await must(tunnel).remove();
        must(tunnel)[Symbol.dispose]();
      });
      const plan = { routes, peers: [], resources: new Map(), dns: undefined };
      return must(tunnel).apply(tunnelPlan(plan, { addresses: [], pathMtu: 1500 }));
    };
    const missing = await open([`PATH=${folder.path}`]);
    expect(String(missing.ok || missing.failure.facts.error)).toMatch(/No such file or directory/);
    writeFileSync(join(folder.path, "wireguard-go"), "#!/bin/sh\necho ERROR: no tun device >&2\nexit 1\n", {
      mode: 0o755,
    });
    const failing = await open([`PATH=${folder.path}:${process.env.PATH}`]);
    expect(failing).toMatchObject({
      ok: false,
      failure: { code: "datapath.failing", facts: { error: "ERROR: no tun device" } },
    });
  });

  test("the agent is killed while traffic runs: nothing is lost, and the next one adopts it", async () => {
    const { device, namespace, name, granted, key, adopt } = await instance();
    using folder = temporaryFolder();
    const file = join(folder.path, "plan.json");
    const plan = { routes, peers: [granted] };
    writeFileSync(file, JSON.stringify({ name, inside: insideOf(namespace), key, listenPort, plan }));
    const start = async () => {
      const child = spawn(process.execPath, ["test/datapath/tunnel-child.ts", file], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      onTestFinished(() => void child.kill("SIGKILL"));
      let said = "";
      child.stdout.on("data", (chunk: Buffer) => {
        said += chunk.toString();
      });
      await until("the child is ready", () => said.includes("ready"));
      return child;
    };
    let agent = await start();
    const pid = processOf(name);
    expect(await reaches(device.namespace, tunnelAddress)).toBe(true);
    const pinging = pingSteadily(device.namespace, tunnelAddress);
    for (let i = 0; i < 3; i++) {
      await pinging.more(10);
      agent.kill("SIGKILL");
      await new Promise((resolve) => agent.once("close", resolve));
      agent = await start();
    }
    await pinging.more(10);
    const { sent, lost } = await pinging.stop();
    console.log(`agent killed three times: ${lost} of ${sent} echoes at 20 ms lost`);
    expect(lost).toBe(0);
    expect(processOf(name)).toBe(pid);
    agent.kill("SIGKILL");
    using next = await adopt();
    expect(await applied(next, granted)).toMatchObject({ peers: 1, drift: [] });
  });

  test("ten thousand peers are set, and one more", { timeout: 60_000 }, async () => {
    const { tunnel, device, granted } = await instance();
    const many = Array.from({ length: 10_000 }, (_, i): DataPathPeer => {
      const ipv4 = `10.${20 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}`;
      return {
        session: `m${i}`,
        wireguardKey: keyOf(i + 10),
        group: "staff",
        ipv4,
        ipv6: `2001:db8:2::${(i + 1).toString(16)}`,
      };
    });
    const timed = async (what: string, work: () => Promise<unknown>) => {
      const begunMs = performance.now();
      await work();
      console.log(`${what}: ${(performance.now() - begunMs).toFixed(0)} ms`);
    };
    await timed("10,000 peers set and read back", () => applied(tunnel, ...many));
    await timed("one more", async () => {
      expect(await applied(tunnel, ...many, granted)).toMatchObject({ peers: 10_001, drift: [] });
    });
    expect(await reaches(device.namespace, tunnelAddress)).toBe(true);
    await timed("their traffic read", () => tunnel.traffic());
    await timed("all but one removed", () => applied(tunnel, granted));
    expect(await reaches(device.namespace, tunnelAddress)).toBe(true);
  });
});
