import { spawn } from "node:child_process";
import { describe, expect, onTestFinished, test } from "vitest";
import { isAsPlanned } from "../../protocol/wireguard.ts";
import { testLog } from "../support/log.ts";
import { pingSteadily, pings, reaches, runIn } from "../support/namespaces.ts";
import { until } from "../support/until.ts";
import { application, instanceWithDevices, must, variants } from "./wireguard-hosts.ts";

describe.each(variants)("WireGuard, $title", (variant) => {
  test.skipIf(variant.missing)(
    titled("a tunnel carries both families, and says what it carried"),
    async () => {
      const { instance, devices } = await instanceWithDevices(variant, 1, testLog().log);
      const [device] = devices;
      if (device === undefined) throw new Error("no device");
      expect(await reaches(device.namespace, application.ipv4)).toBe(true);
      expect(await reaches(device.namespace, application.ipv6)).toBe(true);
      const reading = must(await instance.wireguard.read());
      expect(reading).toMatchObject({ publicKey: instance.key.publicKey, listenPort: 51_820 });
      const peer = reading.peers.get(device.key.publicKey);
      expect(peer).toMatchObject({ keepaliveS: 0, endpoint: expect.stringMatching(/^10\.77\.0\.2:\d+$/) });
      expect(new Set(peer?.allowedIps)).toEqual(new Set(["10.0.1.17/32", "2001:db8:1::11/128"]));
      expect(peer?.rxBytes).toBeGreaterThan(200);
      expect(peer?.txBytes).toBeGreaterThan(200);
      expect(Math.abs((peer?.handshakeAtS ?? 0) - Date.now() / 1000)).toBeLessThan(30);
    },
  );

  test.skipIf(variant.missing)(titled("a source that is not the peer's does not get through"), async () => {
    const { devices } = await instanceWithDevices(variant, 1, testLog().log);
    const [device] = devices;
    if (device === undefined) throw new Error("no device");
    // Its neighbour's address, and one that nobody leases.
    for (const stolen of ["10.0.1.18", "10.0.1.30"]) {
      await runIn(device.namespace, "ip", "address", "add", `${stolen}/32`, "dev", device.name);
      expect(await pings(device.namespace, application.ipv4, "-I", stolen)).toBe(false);
    }
    expect(await reaches(device.namespace, application.ipv4, "-I", "10.0.1.17")).toBe(true);
  });

  test.skipIf(variant.missing)(titled("peers come and go without touching another's traffic"), async () => {
    const { instance, devices, peerOf } = await instanceWithDevices(variant, 2, testLog().log);
    const [first, second] = devices;
    if (first === undefined || second === undefined) throw new Error("no devices");
    expect(await reaches(first.namespace, application.ipv4)).toBe(true);
    const server = spawn("ip", ["netns", "exec", instance.namespace, "iperf3", "-s", "-1"], {
      stdio: "ignore",
    });
    onTestFinished(() => void server.kill("SIGKILL"));
    await until("iperf3 listens", async () =>
      (await runIn(instance.namespace, "ss", "-Hltn", "sport = :5201")).includes("5201"),
    );
    const pinging = pingSteadily(first.namespace, application.ipv4);
    // Of what the tunnel carries a hundredth: a busy machine has that left, and no buffer overflows.
    const rate = ["-t", "2", "-b", "2M", "-l", "2K"];
    const transfer = runIn(first.namespace, "iperf3", "-c", application.ipv4, ...rate, "-J");
    const over = transfer.then(() => true);
    for (let round = 0; ; round++) {
      await instance.set([peerOf(0)], 51_820);
      expect(await pings(second.namespace, application.ipv4, "-W", "0.05")).toBe(false);
      await instance.set([peerOf(0), peerOf(1)], 51_820);
      if (await Promise.race([over, Promise.resolve(false)])) break;
      expect(round).toBeLessThan(1_000);
    }
    const sums = JSON.parse(await transfer).end.sum_received;
    expect(sums.bits_per_second).toBeGreaterThan(1_500_000);
    expect((await pinging.stop()).lost).toBe(0);
  });

  test.skipIf(variant.missing)(titled("an address moves from one peer to another in one step"), async () => {
    const { instance, devices, peerOf } = await instanceWithDevices(variant, 2, testLog().log);
    const [first, second] = devices;
    if (first === undefined || second === undefined) throw new Error("no devices");
    const moving = peerOf(0).allowedIps;
    await second.route(["10.0.1.17/32"], [`${application.ipv4}/32`]);
    expect(await reaches(first.namespace, application.ipv4)).toBe(true);
    expect(await pings(second.namespace, application.ipv4)).toBe(false);
    await instance.set(
      [
        { ...peerOf(0), allowedIps: [] },
        { ...peerOf(1), allowedIps: moving },
      ],
      51_820,
    );
    const { peers } = must(await instance.wireguard.read());
    expect(peers.get(first.key.publicKey)?.allowedIps).toEqual([]);
    expect(new Set(peers.get(second.key.publicKey)?.allowedIps)).toEqual(new Set(moving));
    expect(await reaches(second.namespace, application.ipv4)).toBe(true);
    expect(await pings(first.namespace, application.ipv4)).toBe(false);
  });

  test.skipIf(variant.missing)(
    titled("no packet falls between two peers while an address moves"),
    async () => {
      const { instance, devices, peerOf } = await instanceWithDevices(variant, 2, testLog().log);
      for (const device of devices) {
        expect(await reaches(device.namespace, application.ipv4)).toBe(true);
        await device.route(["10.0.1.17/32"], [`${application.ipv4}/32`]);
      }
      const arrived = async () => {
        const counts = await Promise.all(devices.map(({ namespace }) => echoesIn(namespace)));
        return counts.reduce((sum, count) => sum + count, 0);
      };
      const before = await arrived();
      // Counted where they arrive: an answer on its way while its address moves is dropped, and shall be.
      const pinging = pingSteadily(instance.namespace, "10.0.1.17", 2);
      const allowedIps = ["10.0.1.17/32"];
      let isOver = false;
      const enough = pinging.more(200).finally(() => {
        isOver = true;
      });
      for (let move = 0; !isOver || move < 40; move++) {
        const has = move % 2;
        const peers = [0, 1].map((i) => ({ ...peerOf(i), allowedIps: i === has ? allowedIps : [] }));
        await instance.set(peers, 51_820);
      }
      await enough;
      const { transmitted } = await pinging.stop();
      await until("all have arrived", async () => (await arrived()) - before === transmitted, 2_000);
    },
  );

  test.skipIf(variant.missing)(
    titled("a request that is refused names its error and leaves the next one whole"),
    async () => {
      const { instance, devices, peerOf } = await instanceWithDevices(variant, 1, testLog().log);
      const bad = { ...peerOf(0), allowedIps: ["10.0.0.1/99"] };
      await expect(instance.set([bad], 51_820)).rejects.toMatchObject({ code: "datapath.failing" });
      await instance.set([peerOf(0)], 51_820);
      expect(await reaches(devices[0]?.namespace ?? "", application.ipv4)).toBe(true);
    },
  );

  test.skipIf(variant.missing)(
    titled("whoever lets go leaves the traffic running, and the next one adopts it"),
    async () => {
      const { log } = testLog();
      const { instance, devices, peerOf } = await instanceWithDevices(variant, 1, log);
      const namespace = devices[0]?.namespace ?? "";
      expect(await reaches(namespace, application.ipv4)).toBe(true);
      const pinging = pingSteadily(namespace, application.ipv4);
      for (let i = 0; i < 5; i++) {
        await pinging.more(10);
        instance.wireguard[Symbol.dispose]();
        const inside = ["ip", "netns", "exec", instance.namespace];
        const next = await variant.open({ name: instance.name, inside, log });
        expect(must(await next.ensure())).toBe("adopted");
        expect(isAsPlanned(must(await next.read()), instance.plan([peerOf(0)], 51_820))).toBe(true);
        next[Symbol.dispose]();
      }
      const { sent, lost } = await pinging.stop();
      console.log(`adopted five times over ${sent} echoes at 20 ms: ${lost} lost`);
      expect(lost).toBe(0);
    },
  );

  test.skipIf(variant.missing)(titled("an interface that is removed is gone, twice"), async () => {
    const { instance } = await instanceWithDevices(variant, 0, testLog().log);
    must(await instance.wireguard.remove());
    expect(await runIn(instance.namespace, "ip", "-json", "link")).not.toContain(instance.name);
    must(await instance.wireguard.remove());
    expect(must(await instance.wireguard.ensure())).toBe("made");
  });

  function titled(title: string): string {
    return variant.missing === undefined ? title : `${title} (${variant.missing})`;
  }
});

/** Echo requests that have reached a host. */
async function echoesIn(namespace: string): Promise<number> {
  const lines = (await runIn(namespace, "cat", "/proc/net/snmp"))
    .split("\n")
    .filter((line) => line.startsWith("Icmp:"));
  const [names = [], values = []] = lines.map((line) => line.split(" "));
  return Number(values[names.indexOf("InEchos")]);
}
