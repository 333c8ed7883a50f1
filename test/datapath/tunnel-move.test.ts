import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { noNamespaces, pingSteadily, pings, reaches, runIn } from "../support/namespaces.ts";
import { until } from "../support/until.ts";
import { end } from "./tunnel-attached.ts";
import { application, tunnelWorld } from "./tunnel-hosts.ts";

const title = noNamespaces === undefined ? "the device's tunnel" : `the device's tunnel (${noNamespaces})`;

describe.skipIf(noNamespaces)(title, () => {
  test("opens, and shows itself alive", async () => {
    const { device, tunnel, verdicts, first } = await tunnelWorld();
    await first.admit();
    tunnel.want(first.attachment);
    await until("alive", () => verdicts.includes("1 alive"));
    expect(await reaches(device.namespace, application)).toBe(true);
    expect(await reaches(device.namespace, end.ipv6)).toBe(true);
    const route = await runIn(device.namespace, "ip", "route", "get", application);
    expect(route).toContain("src 10.0.1.17");
    expect(await runIn(device.namespace, "ip", "link", "show", "dev", device.name)).toContain("mtu 1420");
  });

  test("opens as soon as the instance knows the device, also when it asked too early", async () => {
    const { tunnel, verdicts, first, device } = await tunnelWorld();
    tunnel.want(first.attachment);
    await until("the device has asked", async () =>
      (await runIn(device.namespace, "ip", "-json", "link")).includes(device.name),
    );
    await until("the first handshake is lost", async () => {
      const dump = await runIn(device.namespace, "wg", "show", device.name, "dump").catch(() => "");
      return Number(dump.trimEnd().split("\n").at(-1)?.split("\t")[6]) > 0;
    });
    await first.admit();
    const begunMs = performance.now();
    await until("traffic", () => pings(device.namespace, application, "-W", "0.05"));
    const tookMs = performance.now() - begunMs;
    console.log(`traffic ${tookMs.toFixed(0)} ms after the instance knew the device`);
    // WireGuard by itself asks again after 5 s.
    expect(tookMs).toBeLessThan(2_000);
    await until("alive", () => verdicts.includes("1 alive"));
  });

  test("moves without a gap: the old path works until the new one has answered", async () => {
    const { device, tunnel, verdicts, first, second } = await tunnelWorld();
    await first.admit();
    await second.admit();
    tunnel.want(first.attachment);
    await until("alive", () => verdicts.includes("1 alive"));
    expect(
      await lostWhileMoving(device.namespace, async () => {
        tunnel.want(second.attachment);
        await until("alive", () => verdicts.includes("2 alive"));
      }),
    ).toBeLessThan(20);
    const addresses = await runIn(device.namespace, "ip", "-json", "address", "show", "dev", device.name);
    expect(addresses).toContain("10.0.2.17");
    expect(addresses).not.toContain("10.0.1.17");
    expect(
      (await runIn(device.namespace, "wg", "show", device.name, "peers")).trim().split("\n"),
    ).toHaveLength(1);
  });

  /** A device on its first path, whose host is slow to say how things are. */
  async function onFirstOfSlowHost() {
    const world = await tunnelWorld();
    const { device, tunnel, verdicts, first, second, start } = world;
    tunnel[Symbol.dispose]();
    await first.admit();
    await second.admit();
    const slow = start({ inside: slowToTell(device.namespace) });
    slow.want(first.attachment);
    await until("alive", () => verdicts.includes("1 alive"));
    return { ...world, slow };
  }

  test("moves in the time of one change, however long a busy host takes to say how things are", async () => {
    const { device, slow, verdicts, second } = await onFirstOfSlowHost();
    const lost = await lostWhileMoving(device.namespace, async () => {
      slow.want(second.attachment);
      await until("alive", () => verdicts.includes("2 alive"));
    });
    // Asking how things are takes 25 echoes' time here, and asking for IPv6 as long again.
    expect(lost).toBeLessThan(20);
  });

  test("leaves a dead path in the time of one change, too, and of a host that was changed meanwhile", async () => {
    const { device, slow, verdicts, first, second } = await onFirstOfSlowHost();
    const leave = async (from: typeof first, to: typeof first, dead: string) => {
      await runIn(from.host.namespace, "ip", "link", "set", "dev", from.host.name, "down");
      await until(dead, () => verdicts.at(-1) === dead, 10_000);
      const begunMs = performance.now();
      slow.want(to.attachment);
      await until("traffic", () => pings(device.namespace, application, "-W", "0.05"));
      return performance.now() - begunMs;
    };
    const tookMs = await leave(first, second, "1 dead");
    console.log(`traffic elsewhere ${tookMs.toFixed(0)} ms after the word`);
    // One look at this host takes a second.
    expect(tookMs).toBeLessThan(700);
    await until("alive", () => verdicts.includes("2 alive"));
    await runIn(first.host.namespace, "ip", "link", "set", "dev", first.host.name, "up");
    await first.host.route([`${end.ipv4}/32`, `${end.ipv6}/128`], ["10.0.1.16/28", "2001:db8:1::/80"]);
    await runIn(device.namespace, "ip", "address", "flush", "dev", device.name);
    await leave(second, first, "2 dead");
    const addresses = await runIn(device.namespace, "ip", "-json", "address", "show", "dev", device.name);
    expect(addresses).toContain("10.0.1.17");
  });

  test("keeps the old path while the new instance does not answer", async () => {
    const { device, tunnel, verdicts, first, second } = await tunnelWorld();
    await first.admit();
    tunnel.want(first.attachment);
    await until("alive", () => verdicts.includes("1 alive"));
    const pinging = pingSteadily(device.namespace, end.ipv4);
    await pinging.more(5);
    tunnel.want(second.attachment);
    await pinging.more(75);
    expect((await pinging.stop()).lost).toBe(0);
    await second.admit();
    await until("moved", () => verdicts.includes("2 alive"));
    expect(await reaches(device.namespace, application)).toBe(true);
  });

  test("under traffic a silent death costs less than three seconds, with a controller that decides at once", async () => {
    const { device, tunnel, verdicts, first, second } = await tunnelWorld();
    await first.admit();
    await second.admit();
    tunnel.want(first.attachment);
    await until("alive", () => verdicts.includes("1 alive"));
    const pinging = pingSteadily(device.namespace, application);
    await pinging.more(20);
    await runIn(first.host.namespace, "ip", "link", "set", "dev", first.host.name, "down");
    const begunMs = performance.now();
    await until("dead", () => verdicts.includes("1 dead"));
    const deadAfterMs = performance.now() - begunMs;
    tunnel.want(second.attachment);
    await pinging.more(1);
    const outageMs = performance.now() - begunMs;
    await pinging.stop();
    console.log(
      `under traffic: dead after ${deadAfterMs.toFixed(0)} ms, traffic after ${outageMs.toFixed(0)} ms`,
    );
    // 1.8 s and a handshake, and what a busy machine takes.
    expect(outageMs).toBeLessThan(3_000);
  });

  test("a path that loses a fifth each way is no dead one, with traffic and without", async () => {
    const { device, tunnel, verdicts, first } = await tunnelWorld();
    await first.admit();
    tunnel.want(first.attachment);
    await until("alive", () => verdicts.includes("1 alive"));
    const lossy = "add rule inet lossy in udp dport 1024-65535 numgen random mod 5 0 drop";
    for (const namespace of [device.namespace, first.host.namespace]) {
      for (const command of [
        "add table inet lossy",
        "add chain inet lossy in { type filter hook input priority 0; }",
        lossy,
      ])
        await runIn(namespace, "nft", command);
    }
    const pinging = pingSteadily(device.namespace, application, 100);
    await pinging.more(40);
    const { sent, lost } = await pinging.stop();
    console.log(`${lost} of ${sent} echoes at 100 ms lost`);
    expect(lost / sent).toBeGreaterThan(0.1);
    // Some questions' worth of nobody but the probe.
    const heard = async () =>
      Number((await runIn(device.namespace, "wg", "show", device.name, "transfer")).split("\t")[1]);
    const before = await heard();
    await until("asked a few times", async () => (await heard()) > before + 500, 20_000);
    expect(verdicts).toEqual(["1 alive"]);
  });

  test("an instance that dies is told within four seconds, and the next one taken", async () => {
    const { device, tunnel, verdicts, first, second } = await tunnelWorld();
    await first.admit();
    await second.admit();
    tunnel.want(first.attachment);
    await until("alive", () => verdicts.includes("1 alive"));
    await runIn(first.host.namespace, "ip", "link", "set", "dev", first.host.name, "down");
    const begunMs = performance.now();
    await until("dead", () => verdicts.includes("1 dead"));
    const deadAfterMs = performance.now() - begunMs;
    const saidMs = performance.now();
    tunnel.want(second.attachment);
    await until("alive", () => verdicts.includes("2 alive"));
    console.log(
      `dead after ${deadAfterMs.toFixed(0)} ms, alive elsewhere after ${(performance.now() - saidMs).toFixed(0)} ms more`,
    );
    expect(deadAfterMs).toBeLessThan(4_000);
    expect(await reaches(device.namespace, application)).toBe(true);
  });

  test("a device that starts again adopts its tunnel: nothing is lost", async () => {
    const { device, tunnel, verdicts, first, start } = await tunnelWorld();
    await first.admit();
    tunnel.want(first.attachment);
    await until("alive", () => verdicts.includes("1 alive"));
    const pinging = pingSteadily(device.namespace, end.ipv4);
    await pinging.more(10);
    tunnel[Symbol.dispose]();
    await pinging.more(10);
    verdicts.length = 0;
    const again = start();
    again.want(first.attachment);
    await until("alive", () => verdicts.includes("1 alive"));
    await pinging.more(10);
    const { sent, lost } = await pinging.stop();
    console.log(`device started again: ${lost} of ${sent} echoes at 20 ms lost`);
    expect(lost).toBe(0);
  });

  test("asks the instance for names, and leaves the host as it was when it lets go", async () => {
    const { device, tunnel, verdicts, first, resolvConf } = await tunnelWorld();
    await first.admit();
    tunnel.want(first.attachment);
    await until("alive", () => verdicts.includes("1 alive"));
    expect(await runIn(device.namespace, "cat", "/etc/resolv.conf")).toMatch(
      /nameserver 100\.64\.0\.1\n(.*\n)*nameserver 192\.0\.2\.53/,
    );
    tunnel.want(undefined);
    await until(
      "gone",
      async () => !(await runIn(device.namespace, "ip", "-json", "link")).includes(device.name),
    );
    await until("restored", () => readFileSync(resolvConf, "utf8") === "nameserver 192.0.2.53\n");
  });
});

/** Echoes lost around a move. They leave with whatever address the device has: each instance accepts its own. */
async function lostWhileMoving(namespace: string, move: () => Promise<void>): Promise<number> {
  const pinging = pingSteadily(namespace, application);
  await pinging.more(10);
  await move();
  await pinging.more(10);
  const { sent, lost } = await pinging.stop();
  console.log(`moved: ${lost} of ${sent} echoes at 20 ms lost`);
  return lost;
}

/** Commands on a host on which those that only read take half a second. */
function slowToTell(namespace: string): readonly string[] {
  const script = `case "$*" in *-json*|*disable_ipv6*) sleep 0.5;; esac; exec ip netns exec ${namespace} "$@"`;
  return ["sh", "-c", script, "slow-to-tell"];
}
