import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { DeviceView, InstanceView } from "../controller/core/views.ts";
import { createRegionSigner, type RegionSigner } from "./certificates.ts";
import { type LabController, startController } from "./controller.ts";
import { type LabDevice, startDevice } from "./device.ts";
import type { Instance } from "./imds/instance.ts";
import { type LabInstance, launchInstance } from "./instance.ts";
import { connectorName, type DevicePlan, groups, planInstances } from "./plan.ts";
import type { Process } from "./process.ts";
import { type Lack, lacks } from "./readiness.ts";
import { waitFor } from "./wait.ts";

export interface LabOptions {
  /** Everything the lab writes; made if need be, and left there. */
  readonly folder: string;
  /** Told of every step, and of every process that ended by itself. */
  readonly say?: (text: string) => void;
  /** How often agents read their prefixes when nothing calls for it; more often than in production by default. */
  readonly prefixSchedule?: string;
  /** Gives up starting. */
  readonly signal?: AbortSignal;
}

/** What is to differ from an instance that does everything right. */
export interface LaunchOptions {
  readonly otp?: string;
  readonly ec2?: Partial<Instance>;
  readonly signer?: RegionSigner;
  readonly env?: Readonly<Record<string, string>>;
}

export const region = "us-east-1";
/** How long a process may take to end before it is killed. */
const stopWithinMs = 3_000;
const dns = { primary: "172.18.0.2" };

/** A controller, the instances of one active-active connector, and devices of two groups: all real processes. */
export class Lab implements AsyncDisposable {
  readonly folder: string;
  readonly signer: RegionSigner;
  readonly controller: LabController;
  readonly instances: LabInstance[] = [];
  readonly devices: LabDevice[] = [];
  /** Every one-time password and join code that was made: what no log may hold. */
  readonly secrets: string[] = [];
  readonly #options: LabOptions;
  readonly #stopping = new AbortController();

  private constructor(options: LabOptions, signer: RegionSigner, controller: LabController) {
    this.folder = options.folder;
    this.signer = signer;
    this.controller = controller;
    this.#options = options;
    options.signal?.addEventListener("abort", () => this.#stopping.abort());
  }

  /** The controller with its connector and groups; no instance and no device yet. */
  static async start(options: LabOptions): Promise<Lab> {
    const { folder, signal, say = () => {} } = options;
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const signer = await createRegionSigner(region);
    const onExit = teller(say, "controller");
    const controller = await startController(join(folder, "controller"), signer, { onExit, signal });
    const lab = new Lab(options, signer, controller);
    say(`controller ${controller.url}`);
    await lab.#createConnector();
    say(`active-active connector "${connectorName}", groups ${groups.map(({ group }) => group).join(", ")}`);
    return lab;
  }

  get processes(): Process[] {
    const members = [...this.instances, ...this.devices].map(({ process }) => process);
    return [this.controller.process, ...members];
  }

  /** Launches the next instance: creates its OTP, assigns its prefixes, starts its agent. */
  async launch(
    plan = planInstances(this.instances.length + 1).at(-1),
    over: LaunchOptions = {},
  ): Promise<LabInstance> {
    if (plan === undefined) throw new RangeError("no plan for the instance");
    const instance = await launchInstance({
      plan,
      folder: join(this.folder, `instance-${plan.ordinal}`),
      signer: over.signer ?? this.signer,
      controllerUrl: this.controller.url,
      caFile: this.controller.caFile,
      prefixSchedule: this.#options.prefixSchedule ?? "*/5 * * * * *",
      otp: over.otp ?? (await this.createOtp()),
      ...(over.ec2 === undefined ? {} : { ec2: over.ec2 }),
      ...(over.env === undefined ? {} : { env: over.env }),
      onExit: teller(this.#options.say, `agent-${plan.ordinal}`),
    });
    this.instances.push(instance);
    return instance;
  }

  async createOtp(connector: string = connectorName): Promise<string> {
    const asked = { params: { connector }, body: {} };
    const { secret } = await this.controller.admin.call("otp.create", asked);
    this.secrets.push(secret);
    return secret;
  }

  async addDevice(plan: DevicePlan): Promise<LabDevice> {
    const { user, group } = plan;
    const { secret } = await this.controller.admin.call("deviceCode.create", { body: { user, group } });
    this.secrets.push(secret);
    const device = startDevice({
      plan,
      folder: join(this.folder, "devices", plan.name),
      controllerUrl: this.controller.url,
      caFile: this.controller.caFile,
      code: secret,
      onExit: teller(this.#options.say, plan.name),
    });
    this.devices.push(device);
    return device;
  }

  /** Once it has enrolled, configures its pools with the prefixes that AWS assigned. */
  async configurePools(instance: LabInstance): Promise<InstanceView> {
    const what = `instance ${instance.plan.ordinal} to enrol`;
    const { name } = await waitFor(what, 60_000, () => this.viewOf(instance), this.#stopping.signal);
    return this.controller.admin.call("instance.pools.set", {
      params: { instance: name },
      body: instance.plan.pools as Record<string, { ipv4: string[]; ipv6: string[] }>,
    });
  }

  async viewOf(instance: LabInstance): Promise<InstanceView | undefined> {
    const { instanceId } = instance.ec2;
    return (await this.listInstances()).find(({ providerInstanceId }) => providerInstanceId === instanceId);
  }

  async listInstances(): Promise<InstanceView[]> {
    const asked = { query: { connector: connectorName } };
    return (await this.controller.admin.call("instance.list", asked)).items;
  }

  async listDevices(): Promise<DeviceView[]> {
    return (await this.controller.admin.call("device.list", { query: { limit: 1000 } })).items;
  }

  /** What keeps the lab from carrying all its traffic; empty when nothing does. */
  async lacks(): Promise<Lack[]> {
    const [instances, devices] = await Promise.all([this.listInstances(), this.listDevices()]);
    return lacks(this, instances, devices);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    // Those who dial first: nobody is left to wonder where the controller has gone.
    const members = [...this.devices, ...this.instances].map(({ process }) => process.stop(stopWithinMs));
    await Promise.all(members);
    await this.controller.process.stop(stopWithinMs);
    await Promise.all(this.instances.map(({ imds }) => imds[Symbol.asyncDispose]()));
  }

  async #createConnector(): Promise<void> {
    const { admin } = this.controller;
    for (const { group } of groups) await admin.call("group.create", { body: { group } });
    await admin.call("connector.create", {
      body: {
        name: connectorName,
        hosting: "aws",
        mode: "active-active",
        region,
        dns,
        groups: [...groups],
        resources: [
          {
            name: "intranet",
            destination: { cidr: "172.18.16.0/24" },
            protocol: "tcp",
            ports: [{ from: 443, to: 443 }],
            serverInitiated: false,
            groups: groups.map(({ group }) => group),
          },
        ],
      },
    });
  }
}

function teller(say: LabOptions["say"], name: string) {
  return (how: { code: number | null; signal: string | null }, willRestart: boolean) => {
    const end = how.signal === null ? `exited with ${how.code}` : `was ended by ${how.signal}`;
    say?.(`${name} ${end}${willRestart ? ", starting it again" : "; it stays down"}`);
  };
}
