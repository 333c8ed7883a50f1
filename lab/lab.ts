import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { DeviceView, InstanceView } from "../controller/core/views.ts";
import { createRegionSigner, type RegionSigner } from "./certificates.ts";
import {
  type ControllerSettings,
  type LabController,
  prepareController,
  startController,
} from "./controller.ts";
import { handCode, type LabDevice, startDevice } from "./device.ts";
import type { Instance } from "./imds/instance.ts";
import { type LabInstance, type Machine, makeMachine, startInstance } from "./instance.ts";
import { loopbackPlace } from "./loopback.ts";
import type { Place, Site } from "./place.ts";
import { connectorName, type DevicePlan, groups, type InstancePlan, planInstances } from "./plan.ts";
import type { Process } from "./process.ts";
import { type Lack, lacks } from "./readiness.ts";
import { dns, resources } from "./services.ts";
import { waitFor } from "./wait.ts";

export interface LabOptions {
  /** Everything the lab writes; made if need be, and left there. */
  readonly folder: string;
  /** Told of every step, and of every process that ended by itself. */
  readonly say?: (text: string) => void;
  /** How often agents read their prefixes when nothing calls for it; more often than in production by default. */
  readonly prefixSchedule?: string;
  /** Fields of the controller's `controller.yaml`. */
  readonly controllerSettings?: ControllerSettings;
  /** Gives up starting. */
  readonly signal?: AbortSignal;
  /** Where it all runs; on loopback when not given. The lab's own from now on: it ends with it. */
  readonly place?: Place | Promise<Place>;
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

/** A controller, the instances of one active-active connector, and devices of two groups: all real processes. */
export class Lab implements AsyncDisposable {
  readonly folder: string;
  readonly place: Place;
  readonly signer: RegionSigner;
  readonly controller: LabController;
  readonly instances: LabInstance[] = [];
  readonly devices: LabDevice[] = [];
  /** Every one-time password and join code that was made: what no log may hold. */
  readonly secrets: string[] = [];
  readonly #options: LabOptions;
  // BOUNDED: one for each instance, 64.
  readonly #machines = new Map<number, Promise<Machine>>();
  readonly #stopping = new AbortController();

  private constructor(options: LabOptions, place: Place, signer: RegionSigner, controller: LabController) {
    this.folder = options.folder;
    this.place = place;
    this.signer = signer;
    this.controller = controller;
    this.#options = options;
    options.signal?.addEventListener("abort", () => this.#stopping.abort());
  }

  /** The controller with its connector, groups and services; no instance and no device yet. */
  static async start(options: LabOptions): Promise<Lab> {
    const { folder, signal, say = () => {} } = options;
    await using started = new AsyncDisposableStack();
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const [place, prepared, signer] = await Promise.all([
      Promise.resolve(options.place ?? loopbackPlace("not asked for")).then((made) => started.use(made)),
      prepareController(join(folder, "controller")),
      createRegionSigner(region),
    ]);
    const site = await place.addController();
    const onExit = teller(say, "controller");
    const settings = options.controllerSettings ?? {};
    const controller = await startController(prepared, site, signer, { onExit, signal, settings });
    started.defer(() => controller.process.stop(stopWithinMs).then(() => {}));
    const lab = new Lab(options, place, signer, controller);
    say(`controller ${site.url}`);
    await Promise.all([lab.#createConnector(), place.applications()]);
    say(`active-active connector "${connectorName}", groups ${groups.map(({ group }) => group).join(", ")}`);
    started.move();
    return lab;
  }

  /** Who runs where. */
  get members(): readonly { readonly process: Process; readonly site: Site }[] {
    return [this.controller, ...this.instances, ...this.devices];
  }

  get processes(): Process[] {
    return this.members.map(({ process }) => process);
  }

  /** Makes the machine of an instance ahead of its launch. */
  prepare(plan: InstancePlan, over: LaunchOptions = {}): Promise<Machine> {
    const { signer = this.signer, ec2 } = over;
    const machine = makeMachine({ plan, place: this.place, signer, ...(ec2 === undefined ? {} : { ec2 }) });
    // Told to whoever launches it.
    machine.catch(() => {});
    this.#machines.set(plan.ordinal, machine);
    return machine;
  }

  /** Launches the next instance: creates its OTP, assigns its prefixes, starts its agent. */
  async launch(
    plan = planInstances(this.instances.length + 1).at(-1),
    over: LaunchOptions = {},
  ): Promise<LabInstance> {
    if (plan === undefined) throw new RangeError("no plan for the instance");
    const [machine, otp] = await Promise.all([
      this.#machines.get(plan.ordinal) ?? this.prepare(plan, over),
      over.otp ?? this.createOtp(),
    ]);
    const instance = startInstance({
      machine,
      folder: join(this.folder, `instance-${plan.ordinal}`),
      controllerUrl: this.controller.site.url,
      caFile: this.controller.caFile,
      prefixSchedule: this.#options.prefixSchedule ?? "*/5 * * * * *",
      otp,
      ...(over.env === undefined ? {} : { env: over.env }),
      onExit: teller(this.#options.say, machine.name),
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

  /** Starts a user's device, and hands it a join code when it may come in. */
  async addDevice(plan: DevicePlan, mayJoin: Promise<unknown> = Promise.resolve()): Promise<LabDevice> {
    const device = startDevice({
      plan,
      site: await this.place.addDevice(plan.name),
      folder: join(this.folder, "devices", plan.name),
      controllerUrl: this.controller.site.url,
      caFile: this.controller.caFile,
      onExit: teller(this.#options.say, plan.name),
    });
    this.devices.push(device);
    await mayJoin;
    const { user, group } = plan;
    const { secret } = await this.controller.admin.call("deviceCode.create", { body: { user, group } });
    this.secrets.push(secret);
    handCode(device, secret);
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

  /** Whether all instances that were launched are Active. */
  async areInstancesActive(): Promise<boolean> {
    return lacks({ instances: this.instances, devices: [] }, await this.listInstances(), []).length === 0;
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
    await this.place[Symbol.asyncDispose]();
    const machines = await Promise.allSettled(this.#machines.values());
    const made = machines.flatMap((machine) => (machine.status === "fulfilled" ? machine.value : []));
    await Promise.all(made.map(({ site }) => site.imds[Symbol.asyncDispose]()));
  }

  async #createConnector(): Promise<void> {
    const { admin } = this.controller;
    for (const { group } of groups) await admin.call("group.create", { body: { group } });
    const connector = { name: connectorName, hosting: "aws", mode: "active-active", region } as const;
    await admin.call("connector.create", { body: { ...connector, dns, groups: [...groups], resources } });
  }
}

function teller(say: LabOptions["say"], name: string) {
  return (how: { code: number | null; signal: string | null }, willRestart: boolean) => {
    const end = how.signal === null ? `exited with ${how.code}` : `was ended by ${how.signal}`;
    say?.(`${name} ${end}${willRestart ? ", starting it again" : "; it stays down"}`);
  };
}
