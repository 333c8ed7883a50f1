import type { Attached } from "../../device/core/attachment.ts";
import type { InstanceEnd } from "../../device/core/tunnel-plan.ts";
import type { Logger } from "../../protocol/node/log.ts";
import { runIn, type TestHosts } from "../support/namespaces.ts";
import { attachedTo, end } from "./tunnel-attached.ts";
import { Host, variants } from "./wireguard-hosts.ts";

/** What stands behind every instance. */
export const application = "10.99.0.1";

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
