import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "yaml";
import type { RegionSigner } from "./certificates.ts";
import { type Instance, instanceNumbered } from "./imds/instance.ts";
import { type Imds, startImds } from "./imds/server.ts";
import type { InstancePlan } from "./plan.ts";
import { prefixesOf } from "./plan.ts";
import { freePort } from "./ports.ts";
import { Process, type ProcessOptions } from "./process.ts";
import { scripts } from "./scripts.ts";

/** One emulated EC2 instance: its metadata service in this process, its agent in one of its own. */
export interface LabInstance {
  readonly plan: InstancePlan;
  readonly ec2: Instance;
  readonly imds: Imds;
  readonly process: Process;
  readonly folder: string;
  readonly stateFolder: string;
  readonly parametersFile: string;
  readonly otpFile: string;
  readonly socket: string;
  /** Where it serves health and metrics. */
  readonly healthUrl: string;
}

export interface InstanceOptions {
  readonly plan: InstancePlan;
  readonly folder: string;
  readonly signer: RegionSigner;
  readonly controllerUrl: string;
  readonly caFile: string;
  readonly otp: string;
  /** A cron expression. */
  readonly prefixSchedule: string;
  /** What is to differ from the nth instance of the lab's VPC. */
  readonly ec2?: Partial<Instance>;
  /** Added to the environment of its agent. */
  readonly env?: Readonly<Record<string, string>>;
  readonly onExit?: ProcessOptions["onExit"];
}

/** Launches it as AWS and cloud-init would leave it: prefixes assigned, parameters and OTP in files, agent started. */
export async function launchInstance(options: InstanceOptions): Promise<LabInstance> {
  const { plan, folder, signer } = options;
  const stateFolder = join(folder, "state");
  mkdirSync(stateFolder, { recursive: true, mode: 0o700 });
  const ec2 = instanceNumbered(plan.ordinal, { pendingTime: pendingTime(), ...options.ec2 });
  const imds = await startImds({ instance: ec2, signer });
  for (const prefix of prefixesOf(plan)) imds.assignPrefix(prefix);
  const otpFile = join(folder, "connector.otp");
  writeFileSync(otpFile, options.otp, { mode: 0o600 });
  const parametersFile = join(folder, "enroll.yaml");
  const health = `127.0.0.1:${await freePort()}`;
  const { controllerUrl: controller, caFile, prefixSchedule } = options;
  const [{ localIpv4s, subnetIpv4CidrBlock }] = ec2.interfaces;
  const [ip] = localIpv4s;
  const gateway = routerOf(subnetIpv4CidrBlock);
  const parameters = { controller, ip, gateway, otpFile, caFile, health, prefixSchedule };
  writeFileSync(parametersFile, stringify(parameters), { mode: 0o600 });
  const socket = join(folder, "agent.sock");
  const files = ["--parameters", parametersFile, "--state-dir", stateFolder, "--socket", socket];
  const process = new Process({
    name: `agent-${plan.ordinal}`,
    args: [scripts.agent, ...files],
    // Every agent of the lab is on loopback, so only the metadata service can say what its interface has.
    env: { AWS_EC2_METADATA_SERVICE_ENDPOINT: imds.url, CONNECTOR_INTERFACE: "imds", ...options.env },
    logFile: join(folder, "agent.log"),
    ...(options.onExit === undefined ? {} : { onExit: options.onExit }),
  });
  process.start();
  const healthUrl = `http://${health}`;
  return { plan, ec2, imds, process, folder, stateFolder, parametersFile, otpFile, socket, healthUrl };
}

/** AWS's router is the first address of the subnet. */
function routerOf(subnet: string): string {
  return subnet.replace(/\d+\/\d+$/, (end) => `${Number.parseInt(end, 10) + 1}`);
}

function pendingTime(): string {
  return new Date().toISOString().replace(/\.\d+Z$/, "Z");
}
