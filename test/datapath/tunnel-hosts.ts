import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { onTestFinished } from "vitest";
import { TunnelHost } from "../../device/adapters/tunnel.ts";
import type { Attached } from "../../device/core/attachment.ts";
import { type InstanceEnd, noTunnel } from "../../device/core/tunnel-plan.ts";
import { type RunningTunnel, startTunnel, type TunnelOptions } from "../../device/tunnel.ts";
import { makeWireguardKey } from "../../protocol/node/keys.ts";
import type { Logger } from "../../protocol/node/log.ts";
import { testLog } from "../support/log.ts";
import { insideOf, interfaceName, runIn, TestHosts } from "../support/namespaces.ts";
import { attachedTo, end } from "./tunnel-attached.ts";
import { Host, must, variants } from "./wireguard-hosts.ts";

/** What stands behind every instance. */
export const application = "10.99.0.1";

/** A device with cables to two instances, both with the same application behind them. */
export async function tunnelWorld() {
  const hosts = new TestHosts();
  onTestFinished(() => hosts[Symbol.dispose]());
  const { log } = testLog();
  const namespace = hosts.add("device");
  const resolvConf = `/etc/netns/${namespace}/resolv.conf`;
  mkdirSync(`/etc/netns/${namespace}`, { recursive: true });
  writeFileSync(resolvConf, "nameserver 192.0.2.53\n");
  onTestFinished(() => rmSync(`/etc/netns/${namespace}`, { recursive: true, force: true }));
  const device = { namespace, name: interfaceName(), key: makeWireguardKey() };
  const verdicts: string[] = [];
  const options: TunnelOptions = {
    ...{ name: device.name, inside: insideOf(namespace), key: device.key, log, end },
    names: { kind: "file", path: resolvConf },
    onVerdict: ({ epoch }, verdict) => verdicts.push(`${epoch} ${verdict}`),
  };
  const start = (more: Partial<TunnelOptions> = {}): RunningTunnel => {
    const tunnel = startTunnel({ ...options, ...more });
    onTestFinished(() => tunnel[Symbol.dispose]());
    return tunnel;
  };
  // Runs last: whoever watches has let go by then.
  onTestFinished(() => takeDown(options));
  const first = await tunnelInstance(hosts, 1, device, log);
  const second = await tunnelInstance(hosts, 2, device, log);
  return { hosts, device, options, verdicts, resolvConf, start, tunnel: start(), first, second };
}

async function takeDown(options: TunnelOptions): Promise<void> {
  using host = new TunnelHost(options);
  must(await host.apply(noTunnel, undefined));
}

/** An instance that a device reaches by a cable of its own, with the application behind it. It serves nobody yet. */
export async function tunnelInstance(
  hosts: TestHosts,
  n: number,
  device: { readonly namespace: string; readonly key: { readonly publicKey: string } },
  log: Logger,
  ends: InstanceEnd = end,
) {
  const [userspace] = variants;
  if (userspace === undefined) throw new Error("no variant");
  const namespace = hosts.add(`instance${n}`);
  hosts.connect(namespace, [`10.77.${n}.1/24`], device.namespace, [`10.77.${n}.2/24`]);
  await runIn(namespace, "ip", "address", "add", `${application}/32`, "dev", "lo");
  const host = await Host.open(userspace, namespace, log);
  await host.set([], 51_820);
  await host.route([`${ends.ipv4}/32`, `${ends.ipv6}/128`], [`10.0.${n}.16/28`, `2001:db8:${n}::/80`]);
  const allowedIps = [`10.0.${n}.17/32`, `2001:db8:${n}::11/128`];
  const peer = { publicKey: device.key.publicKey, allowedIps, endpoint: undefined, keepaliveS: 0 };
  const attachment: Attached = attachedTo(n, {
    endpoint: `10.77.${n}.1:51820`,
    wireguardKey: host.key.publicKey,
    routes: [`${application}/32`],
  });
  return { host, attachment, admit: () => host.set([peer], 51_820) };
}
