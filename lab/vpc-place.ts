import { existsSync } from "node:fs";
import { join } from "node:path";
import { loopbackNames } from "./certificates.ts";
import type { Imds } from "./imds/server.ts";
import type { ControllerSite, DeviceSite, InstanceSite, Place } from "./place.ts";
import { metadataIpv4 } from "./vpc/addresses.ts";
import { startCorporate } from "./vpc/corporate.ts";
import { enterFunction } from "./vpc/enter.ts";
import { missingProgram, vpcObstacle } from "./vpc/obstacle.ts";
import { setSysctls } from "./vpc/sysctls.ts";
import { createVpc, type Vpc } from "./vpc/vpc.ts";

const controllerPort = 443;
const healthPort = 9464;

/** What an AMI sets at boot. */
const sysctlFile = join(import.meta.dirname, "..", "systemd", "sysctl.d", "60-connector.conf");

/** What agents and devices run, besides what the VPC itself is made with. */
const programs = ["wg", "conntrack", "ping"] as const;

/** Why packets cannot flow on this machine, in one line; undefined when they can. */
export async function vpcPlaceObstacle(): Promise<string | undefined> {
  const obstacle = (await vpcObstacle()) ?? missingProgram(programs);
  if (obstacle !== undefined) return obstacle;
  return existsSync("/sys/module/wireguard") ? undefined : missingProgram(["wireguard-go"]);
}

/** Every process on a machine of its own, with real packets between them: a VPC of network namespaces. */
export class VpcPlace implements Place {
  readonly about = "packets flow: every machine is a network namespace";
  readonly shell: string;
  readonly #vpc: Vpc;
  readonly #applications: Promise<unknown>;

  /** @throws Error when a namespace cannot be made. */
  static async open(folder: string): Promise<VpcPlace> {
    return new VpcPlace(await createVpc({ name: "lab", folder }), folder);
  }

  private constructor(vpc: Vpc, folder: string) {
    this.#vpc = vpc;
    this.shell = enterFunction("on", vpc.namespaceOf, folder);
    this.#applications = startCorporate(vpc);
    // Told to whoever waits for them.
    this.#applications.catch(() => {});
  }

  async addController(): Promise<ControllerSite> {
    const host = await this.#vpc.addServer("controller");
    const { ipv4, ipv6 } = host.addresses;
    const door = await host.door(controllerPort);
    return {
      process: { command: host.command() },
      host,
      listen: `[::]:${controllerPort}`,
      names: [ipv4, ipv6, ...loopbackNames],
      url: `https://${ipv4}`,
      adminUrl: `https://127.0.0.1:${door}`,
    };
  }

  async addInstance(name: string, imds: Imds): Promise<InstanceSite> {
    const host = await this.#vpc.addInstance(name, imds);
    await setSysctls(host, sysctlFile);
    let door: Promise<number> | undefined;
    return {
      process: { command: host.command(), env: { CONNECTOR_DATAPATH: "kernel" } },
      host,
      imds: host.imds,
      metadataUrl: `http://${metadataIpv4}`,
      parameters: { health: `127.0.0.1:${healthPort}`, publicAddress: host.publicIpv4 },
      healthUrl: async () => {
        door ??= host.door(healthPort);
        return `http://127.0.0.1:${await door}`;
      },
    };
  }

  async addDevice(name: string): Promise<DeviceSite> {
    const host = await this.#vpc.addDevice(name);
    // The file is the host's own, whatever its path says.
    const options = ["--tunnel", "on", "--names", "file:/etc/resolv.conf"];
    return { process: { command: host.command() }, host, options };
  }

  async applications(): Promise<void> {
    await this.#applications;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#applications.catch(() => {});
    await this.#vpc[Symbol.asyncDispose]();
  }
}
