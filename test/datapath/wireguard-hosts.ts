import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import type { Result } from "../../protocol/failures.ts";
import { commandRunner } from "../../protocol/node/command.ts";
import { makeWireguardKey } from "../../protocol/node/keys.ts";
import type { Logger } from "../../protocol/node/log.ts";
import { NetworkInterface } from "../../protocol/node/network-interface.ts";
import { bestBackend, openWireguard, type WireguardOptions } from "../../protocol/node/wireguard/open.ts";
import type { WireguardInterface } from "../../protocol/node/wireguard/port.ts";
import { Secret } from "../../protocol/secret.ts";
import { type WireguardPeer, type WireguardPlan, wireguardChange } from "../../protocol/wireguard.ts";
import { temporaryFolder } from "../support/folder.ts";
import { insideOf, interfaceName, noNamespaces, TestHosts } from "../support/namespaces.ts";

/** The ways to an interface that the same tests run on. */
export interface Variant {
  readonly title: string;
  /** Why it cannot run here. */
  readonly missing: string | undefined;
  open(options: WireguardOptions): Promise<WireguardInterface>;
}

export const variants: readonly Variant[] = [
  {
    title: "userspace",
    missing: noNamespaces,
    open: async (options) => must(await openWireguard({ ...options, backend: "userspace" })),
  },
  {
    // All of the kernel's backend, with the real `wg`, on machines whose kernel has no module.
    title: "kernel, its module played by wireguard-go",
    missing: noNamespaces,
    async open(options) {
      const inside = [...(options.inside ?? []), "env", `PATH=${shimFolder()}:${process.env.PATH}`];
      return must(await openWireguard({ ...options, inside, backend: "kernel" }));
    },
  },
  {
    title: "kernel",
    missing: noNamespaces ?? (await whyNoKernelWireguard()),
    open: async (options) => must(await openWireguard({ ...options, backend: "kernel" })),
  },
];

/** A host with one WireGuard interface that a test configures by hand. */
export class Host {
  readonly name: string;
  readonly key = makeWireguardKey();
  readonly network: NetworkInterface;
  readonly namespace: string;
  readonly wireguard: WireguardInterface;
  /** How often the interface was lost and made again. */
  remade = 0;

  static async open(variant: Variant, namespace: string, log: Logger): Promise<Host> {
    const name = interfaceName();
    const holder: { host?: Host } = {};
    const onMade = () => {
      if (holder.host !== undefined) holder.host.remade += 1;
    };
    const wireguard = await variant.open({ name, inside: insideOf(namespace), log, onMade });
    const host = new Host(namespace, name, wireguard);
    holder.host = host;
    onTestFinished(async () => {
      await wireguard.remove();
      wireguard[Symbol.dispose]();
    });
    must(await wireguard.ensure());
    return host;
  }

  private constructor(namespace: string, name: string, wireguard: WireguardInterface) {
    this.namespace = namespace;
    this.name = name;
    this.wireguard = wireguard;
    this.network = new NetworkInterface(name, commandRunner(insideOf(namespace)));
  }

  plan(peers: readonly WireguardPeer[], listenPort?: number): WireguardPlan {
    const { privateKey, publicKey } = this.key;
    return { privateKey: new Secret(privateKey), publicKey, listenPort, peers };
  }

  /** Brings the interface to these peers, whatever it holds. */
  async set(peers: readonly WireguardPeer[], listenPort?: number): Promise<void> {
    const held = must(await this.wireguard.read());
    must(await this.wireguard.apply(wireguardChange(held, this.plan(peers, listenPort))));
  }

  async route(addresses: readonly string[], to: readonly string[]): Promise<void> {
    const routes = to.map((prefix) => ({ to: prefix, source: undefined }));
    must(await this.network.apply({ mtu: 1420, addresses, routes }));
  }
}

export const application = { ipv4: "10.99.0.1", ipv6: "fd99::1" };
export const devicesIn = { ipv4: "10.0.1.16/28", ipv6: "2001:db8:1::/80" };

/** One instance with an application behind it, and devices that reach it over cables of their own. */
export async function instanceWithDevices(variant: Variant, devices: number, log: Logger) {
  const hosts = new TestHosts();
  onTestFinished(() => hosts[Symbol.dispose]());
  const namespace = hosts.add("instance");
  const instance = await Host.open(variant, namespace, log);
  for (const address of [`${application.ipv4}/32`, `${application.ipv6}/128`]) {
    must(await commandRunner(insideOf(namespace))(["ip", "address", "add", address, "dev", "lo"]));
  }
  const around = await Promise.all(
    Array.from({ length: devices }, async (_, i) => {
      const device = hosts.add(`device${i}`);
      hosts.connect(namespace, [`10.77.${i}.1/24`], device, [`10.77.${i}.2/24`]);
      return Host.open(variant, device, log);
    }),
  );
  const addressesOf = (i: number) => [`10.0.1.${17 + i}/32`, `2001:db8:1::${(17 + i).toString(16)}/128`];
  const peerOf = (i: number): WireguardPeer => ({
    publicKey: around[i]?.key.publicKey ?? "",
    allowedIps: addressesOf(i),
    endpoint: undefined,
    keepaliveS: 0,
  });
  await instance.set(
    around.map((_, i) => peerOf(i)),
    51_820,
  );
  await instance.route([], [devicesIn.ipv4, devicesIn.ipv6]);
  for (const [i, device] of around.entries()) {
    await device.set([
      {
        publicKey: instance.key.publicKey,
        allowedIps: [`${application.ipv4}/32`, `${application.ipv6}/128`],
        endpoint: `10.77.${i}.1:51820`,
        keepaliveS: 0,
      },
    ]);
    await device.route(addressesOf(i), [`${application.ipv4}/32`, `${application.ipv6}/128`]);
  }
  return { hosts, instance, devices: around, peerOf };
}

export function must<T>(result: Result<T>): T {
  if (!result.ok) throw result.failure;
  return result.value;
}

/**
 * A folder with an `ip` that makes an interface of type wireguard as the kernel would, and shows it as the kernel does:
 * `"linkinfo":{"info_kind":"wireguard"}`.
 */
export function shimFolder(): string {
  const folder = temporaryFolder();
  onTestFinished(() => folder[Symbol.dispose]());
  const ip = execFileSync("which", ["ip"], { encoding: "utf8" }).trim();
  const script = [
    "#!/bin/sh",
    'case "$*" in',
    `"link add dev "*" type wireguard") ${ip} link show dev "$4" >&2 2>/dev/null &&`,
    '    { echo "RTNETLINK answers: File exists" >&2; exit 2; }',
    '  exec env LOG_LEVEL=error wireguard-go "$4" >/dev/null 2>&1 ;;',
    `"-json -details link show dev "*) ${ip} "$@" >${folder.path}/$$ || exit`,
    `  sed s/'"info_kind":"tun"'/'"info_kind":"wireguard"'/ ${folder.path}/$$ ;;`,
    `*) exec ${ip} "$@" ;;`,
    "esac",
    "",
  ];
  writeFileSync(join(folder.path, "ip"), script.join("\n"), { mode: 0o755 });
  return folder.path;
}

async function whyNoKernelWireguard(): Promise<string | undefined> {
  if (noNamespaces !== undefined) return noNamespaces;
  using hosts = new TestHosts();
  const found = must(await bestBackend(interfaceName(), commandRunner(insideOf(hosts.add("probe")))));
  return found === "kernel" ? undefined : "this kernel has no WireGuard module";
}
