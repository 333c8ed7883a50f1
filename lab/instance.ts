import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "yaml";
import type { RegionSigner } from "./certificates.ts";
import { type Instance, instanceNumbered } from "./imds/instance.ts";
import { type Imds, startImds } from "./imds/server.ts";
import type { InstanceSite, Place } from "./place.ts";
import { type InstancePlan, prefixesOf } from "./plan.ts";
import { Process, type ProcessOptions } from "./process.ts";
import { scripts } from "./scripts.ts";

/** One emulated EC2 instance: its metadata service in this process, its agent in one of its own. */
export interface LabInstance {
  readonly plan: InstancePlan;
  readonly ec2: Instance;
  readonly site: InstanceSite;
  readonly imds: Imds;
  readonly process: Process;
  readonly folder: string;
  readonly stateFolder: string;
  readonly parametersFile: string;
  readonly otpFile: string;
  readonly socket: string;
}

export interface MachineOptions {
  readonly plan: InstancePlan;
  readonly place: Pick<Place, "addInstance">;
  readonly signer: RegionSigner;
  /** What is to differ from the nth instance of the lab's VPC. */
  readonly ec2?: Partial<Instance>;
}

/** An instance on which no agent runs yet: its interface has its prefixes, its metadata service answers. */
export interface Machine {
  readonly name: string;
  readonly plan: InstancePlan;
  readonly ec2: Instance;
  readonly site: InstanceSite;
}

export async function makeMachine({ plan, place, signer, ec2: over }: MachineOptions): Promise<Machine> {
  const ec2 = instanceNumbered(plan.ordinal, { pendingTime: pendingTime(), ...over });
  await using made = new AsyncDisposableStack();
  const service = made.use(await startImds({ instance: ec2, signer }));
  for (const prefix of prefixesOf(plan)) service.assignPrefix(prefix);
  const name = `agent-${plan.ordinal}`;
  const site = await place.addInstance(name, service);
  // The place ends it with the rest of the instance.
  made.move();
  return { name, plan, ec2, site };
}

export interface InstanceOptions {
  readonly machine: Machine;
  readonly folder: string;
  readonly controllerUrl: string;
  readonly caFile: string;
  readonly otp: string;
  /** A cron expression. */
  readonly prefixSchedule: string;
  /** Added to the environment of its agent. */
  readonly env?: Readonly<Record<string, string>>;
  readonly onExit?: ProcessOptions["onExit"];
}

/** Boots it as cloud-init would leave it: parameters and OTP in files, agent started. */
export function startInstance(options: InstanceOptions): LabInstance {
  const { machine, folder } = options;
  const { name, plan, ec2, site } = machine;
  const stateFolder = join(folder, "state");
  mkdirSync(stateFolder, { recursive: true, mode: 0o700 });
  const otpFile = join(folder, "connector.otp");
  writeFileSync(otpFile, options.otp, { mode: 0o600 });
  const parametersFile = join(folder, "enroll.yaml");
  const { controllerUrl: controller, caFile, prefixSchedule } = options;
  const [{ localIpv4s, subnetIpv4CidrBlock }] = ec2.interfaces;
  const [ip] = localIpv4s;
  const gateway = routerOf(subnetIpv4CidrBlock);
  const parameters = { controller, ip, gateway, otpFile, caFile, prefixSchedule, ...site.parameters };
  writeFileSync(parametersFile, stringify(parameters), { mode: 0o600 });
  const socket = join(folder, "agent.sock");
  const files = ["--parameters", parametersFile, "--state-dir", stateFolder, "--socket", socket];
  const process = new Process({
    ...site.process,
    name,
    args: [scripts.agent, ...files],
    env: { ...site.process.env, ...options.env },
    logFile: join(folder, "agent.log"),
    ...(options.onExit === undefined ? {} : { onExit: options.onExit }),
  });
  process.start();
  const { imds } = site;
  return { plan, ec2, site, imds, process, folder, stateFolder, parametersFile, otpFile, socket };
}

/** AWS's router is the first address of the subnet. */
export function routerOf(subnet: string): string {
  return subnet.replace(/\d+\/\d+$/, (end) => `${Number.parseInt(end, 10) + 1}`);
}

function pendingTime(): string {
  return new Date().toISOString().replace(/\.\d+Z$/, "Z");
}
