import { readdirSync } from "node:fs";
import { onTestFinished } from "vitest";
import { Tunnel, type TunnelOptions, type TunnelState } from "../../agent/adapters/wireguard.ts";
import type { DataPathPeer, DataPathPlan } from "../../agent/core/ports.ts";
import { tunnelPlan } from "../../agent/core/tunnel.ts";
import type { Result } from "../../protocol/failures.ts";
import { systemClock } from "../../protocol/node/clock.ts";
import { makeWireguardKey } from "../../protocol/node/keys.ts";
import { processIds, readOfProcess } from "../../protocol/node/processes.ts";
import { testLog } from "../support/log.ts";
import { insideOf, interfaceName, TestHosts } from "../support/namespaces.ts";
import { until } from "../support/until.ts";
import { Host, must, variants } from "./wireguard-hosts.ts";

export const tunnelAddress = "169.254.77.1";
export const routes = ["10.0.1.16/28", "2001:db8:1::/80"];
export const listenPort = 51_820;

/** An instance with its tunnel, and one device that was granted a session there. */
export async function instance(more: Partial<TunnelOptions> = {}) {
  const hosts = new TestHosts();
  onTestFinished(() => hosts[Symbol.dispose]());
  const { log } = testLog();
  const namespace = hosts.add("instance");
  const key = makeWireguardKey();
  const name = interfaceName();
  const renewed: Result<TunnelState>[] = [];
  const options: TunnelOptions = {
    ...{ name, inside: insideOf(namespace), key, listenPort, clock: systemClock, log },
    onRenewed: (result) => renewed.push(result),
    ...more,
  };
  const adopt = async () => must(await Tunnel.open(options));
  const tunnel = await adopt();
  onTestFinished(async () => {
    await tunnel.remove();
    tunnel[Symbol.dispose]();
  });
  const [userspace] = variants;
  if (userspace === undefined) throw new Error("no variant");
  const deviceHost = hosts.add("device");
  hosts.connect(namespace, ["10.77.0.1/24"], deviceHost, ["10.77.0.2/24"]);
  const device = await Host.open(userspace, deviceHost, log);
  const allowedIps = [`${tunnelAddress}/32`];
  await device.set([{ publicKey: key.publicKey, allowedIps, endpoint: "10.77.0.1:51820", keepaliveS: 0 }]);
  await device.route(["10.0.1.17/32"], allowedIps);
  const granted: DataPathPeer = {
    ...{ session: "s1", wireguardKey: device.key.publicKey, group: "staff" },
    ...{ ipv4: "10.0.1.17", ipv6: "2001:db8:1::11" },
  };
  return { tunnel, device, namespace, name, key, granted, renewed, adopt };
}

/** The tunnel with these peers, and the usual routes or those that are given. */
export async function applied(
  tunnel: Tunnel,
  ...wanted: (DataPathPeer | { readonly routes: readonly string[] })[]
): Promise<TunnelState> {
  const peers = wanted.filter((part) => "session" in part);
  const special = wanted.find((part) => "routes" in part);
  const plan: DataPathPlan = {
    routes: special?.routes ?? routes,
    peers,
    resources: new Map(),
    dns: undefined,
  };
  return must(await tunnel.apply(tunnelPlan(plan, { addresses: [`${tunnelAddress}/32`], pathMtu: 1500 })));
}

/** The wireguard-go of an interface. */
export function processOf(name: string): number {
  const words = `wireguard-go\0-f\0${name}\0`;
  const pid = processIds().find((id) => readOfProcess(id, "cmdline")?.startsWith(words));
  if (pid === undefined) throw new Error(`no wireguard-go for ${name}`);
  return pid;
}

/** Resolves when it does nothing any more: one of its threads takes the signal, and until then the others may answer. */
export async function hang(pid: number): Promise<void> {
  process.kill(pid, "SIGSTOP");
  await until("it has stopped", () => {
    const threads = readdirSync(`/proc/${pid}/task`);
    return threads.every((thread) => / T /.test(readOfProcess(pid, `task/${thread}/stat`) ?? " T "));
  });
}
