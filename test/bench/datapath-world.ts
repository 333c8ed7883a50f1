import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { Attached } from "../../device/core/attachment.ts";
import { type RunningTunnel, startTunnel } from "../../device/tunnel.ts";
import { enterCommand, makeHostFolder } from "../../lab/vpc/enter.ts";
import type { Result } from "../../protocol/failures.ts";
import { commandRunner } from "../../protocol/node/command.ts";
import { type KeyPair, makeWireguardKey } from "../../protocol/node/keys.ts";
import { createLogger } from "../../protocol/node/log.ts";
import { NetworkInterface } from "../../protocol/node/network-interface.ts";
import { openWireguard } from "../../protocol/node/wireguard/open.ts";
import type { WireguardInterface } from "../../protocol/node/wireguard/port.ts";
import { Secret } from "../../protocol/secret.ts";
import { instanceEnd } from "../../protocol/tunnel.ts";
import { type WireguardPeer, wireguardChange } from "../../protocol/wireguard.ts";
import { DataPathChild } from "../support/datapath.ts";
import { temporaryFolder } from "../support/folder.ts";
import { insideOf, interfaceName, runIn, TestHosts } from "../support/namespaces.ts";
import { until } from "../support/until.ts";
import { application, measuredAddress } from "./datapath-plan.ts";

const mtu = 1420;
const log = createLogger({ name: "bench", level: "silent" });

/** What the device reaches without the product: the same application, by another address. */
const bare = { device: "10.201.0.1", application: "10.99.0.2" } as const;

/**
 * One device and one application with two instances between them, each a network namespace: one that the product
 * programs, and a bare one with the same WireGuard, one peer and nothing else, not even connection tracking.
 *
 *              ┌─ instance: LinuxDataPath ─┐
 *     device ──┤                           ├── application
 *              └─ bare: WireGuard, routes ─┘
 */
export class DataPathWorld implements AsyncDisposable {
  readonly device: string;
  readonly instance: InstanceHost;
  /** The application's address, by the way that leads to it. */
  readonly ways = { bare: bare.application, product: application.ipv4 } as const;
  readonly deviceKey = makeWireguardKey();
  /** The namespace of the instance on each way. */
  readonly instances: { readonly bare: string; readonly product: string };
  readonly #end: AsyncDisposableStack;

  private constructor(
    end: AsyncDisposableStack,
    device: string,
    bareInstance: string,
    instance: InstanceHost,
  ) {
    this.device = device;
    this.instance = instance;
    this.instances = { bare: bareInstance, product: instance.namespace };
    this.#end = end;
  }

  static async open(): Promise<DataPathWorld> {
    await using end = new AsyncDisposableStack();
    const hosts = end.use(new TestHosts());
    const [device, app] = [hosts.add("device"), hosts.add("application")];
    const instance = end.use(new InstanceHost(hosts, "instance"));
    const bareInstance = hosts.add("bare");
    const between: [host: string, n: number][] = [
      [instance.namespace, 77],
      [bareInstance, 78],
    ];
    for (const [host, n] of between) {
      hosts.connect(device, [`10.${n}.0.2/24`], host, [`10.${n}.0.1/24`]);
      hosts.connect(app, [`10.${n}.1.2/24`], host, [`10.${n}.1.1/24`]);
      await runIn(host, "ip", "route", "add", "10.99.0.0/24", "via", `10.${n}.1.2`);
      await runIn(host, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward");
    }
    for (const address of [application.ipv4, bare.application]) {
      await runIn(app, "ip", "address", "add", `${address}/32`, "dev", "lo");
    }
    await runIn(app, "ip", "route", "add", "10.200.0.0/16", "via", "10.77.1.1");
    await runIn(app, "ip", "route", "add", `${bare.device}/32`, "via", "10.78.1.1");
    await connectBare(end, device, bareInstance);
    await serve(end, app);
    return new DataPathWorld(end.move(), device, bareInstance, instance);
  }

  /** Attaches the device to the instance as the product does, and waits until the application answers. */
  async attach(): Promise<void> {
    const tunnel = this.#end.use(this.startTunnel());
    tunnel.want(this.attachment());
    await until("the application through the instance", () =>
      runIn(this.device, "ping", "-n", "-c", "1", "-W", "1", application.ipv4).catch(() => ""),
    );
  }

  startTunnel(): RunningTunnel {
    return startTunnel({
      name: interfaceName(),
      inside: insideOf(this.device),
      key: this.deviceKey,
      names: { kind: "none" },
      end: instanceEnd,
      log,
      onVerdict: () => undefined,
    });
  }

  attachment(): Attached {
    return {
      state: "attached",
      session: "00000000-0000-4000-8000-000000000001",
      epoch: 1,
      instance: "aws-us-vir-con-00001",
      endpoint: "10.77.0.1:51820",
      wireguardKey: this.instance.key.publicKey,
      ...measuredAddress,
      dns: { primary: application.ipv4 },
      mtu,
      routes: [`${application.ipv4}/32`],
      domains: [application.name],
    };
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#end.disposeAsync();
  }
}

/** A host with a /run of its own and the product's data path on it. */
export class InstanceHost implements AsyncDisposable {
  readonly namespace: string;
  readonly key = makeWireguardKey();
  readonly dataPath: DataPathChild;
  readonly #folder = temporaryFolder();

  constructor(hosts: TestHosts, role: string) {
    this.namespace = hosts.add(role);
    makeHostFolder(this.#folder.path);
    const command = [...this.command(), process.execPath] as const;
    this.dataPath = new DataPathChild({
      command: [command[0], ...command.slice(1)],
      folder: join(this.#folder.path, "run", "connector"),
      key: this.key,
    });
  }

  /** Stands before a command that shall run here. */
  command(): readonly [string, ...string[]] {
    return enterCommand(this.namespace, this.#folder.path);
  }

  /** Whatever it started ends with its namespace. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.dataPath.kill();
    this.#folder[Symbol.dispose]();
  }
}

/** The two ends of the bare tunnel. */
async function connectBare(end: AsyncDisposableStack, device: string, instance: string): Promise<void> {
  const keys = { device: makeWireguardKey(), instance: makeWireguardKey() };
  await bareEnd(end, instance, keys.instance, [`10.201.0.254/32`], [`${bare.device}/32`], 51_820, {
    publicKey: keys.device.publicKey,
    allowedIps: [`${bare.device}/32`],
    endpoint: undefined,
    keepaliveS: 0,
  });
  await bareEnd(end, device, keys.device, [`${bare.device}/32`], [`${bare.application}/32`], undefined, {
    publicKey: keys.instance.publicKey,
    allowedIps: [`${bare.application}/32`],
    endpoint: "10.78.0.1:51820",
    keepaliveS: 25,
  });
}

async function bareEnd(
  end: AsyncDisposableStack,
  host: string,
  key: KeyPair,
  addresses: readonly string[],
  routes: readonly string[],
  listenPort: number | undefined,
  peer: WireguardPeer,
): Promise<void> {
  const name = interfaceName();
  const inside = insideOf(host);
  const wireguard: WireguardInterface = must(await openWireguard({ name, inside, log }));
  end.defer(async () => {
    await wireguard.remove();
    wireguard[Symbol.dispose]();
  });
  must(await wireguard.ensure());
  const { privateKey, publicKey } = key;
  const plan = { privateKey: new Secret(privateKey), publicKey, listenPort, peers: [peer] };
  must(await wireguard.apply(wireguardChange(must(await wireguard.read()), plan)));
  const network = new NetworkInterface(name, commandRunner(inside));
  must(await network.apply({ mtu, addresses, routes: routes.map((to) => ({ to, source: undefined })) }));
}

/** iperf3, a resolver that knows the application's name, and its web server. */
async function serve(end: AsyncDisposableStack, host: string): Promise<void> {
  const start = (...argv: string[]): ChildProcess => {
    const child = spawn("ip", ["netns", "exec", host, ...argv], { stdio: ["ignore", "ignore", "ignore"] });
    end.defer(async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill("SIGKILL");
      await once(child, "exit");
    });
    return child;
  };
  // Bound to its address, or answers over UDP would come from the cable's.
  for (const address of [application.ipv4, bare.application]) start("iperf3", "--server", "--bind", address);
  const names = [`--address=/corp.internal/${application.ipv4}`, "--conf-file=/dev/null", "--no-resolv"];
  start("dnsmasq", "--keep-in-foreground", "--no-hosts", "--user=root", "--pid-file=", ...names);
  const web = `require("node:http").createServer((_, answer) => answer.end("ok")).listen(80)`;
  start(process.execPath, "-e", web);
  await until("iperf3, dnsmasq and the web server", async () => {
    const listening = await runIn(host, "ss", "--no-header", "--listening", "--tcp", "--numeric");
    const own = [application.ipv4, bare.application].map((address) => `${address}:5201`);
    return [...own, ":53", ":80"].every((port) => listening.includes(`${port} `));
  });
}

function must<T>(result: Result<T>): T {
  if (!result.ok) throw result.failure;
  return result.value;
}
