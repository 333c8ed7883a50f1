import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { InstanceView } from "../../controller/core/views.ts";
import type { Machine } from "../../lab/instance.ts";
import type { Lab } from "../../lab/lab.ts";
import type { InstancePlan } from "../../lab/plan.ts";
import { diskOver, type Firmware, VirtualMachine } from "../../lab/vm/machine.ts";
import { publicIpv4 } from "../../lab/vpc/addresses.ts";
import { waitFor } from "../../lab/wait.ts";
import { generatedUserData, withLabNeeds, withLabParameters, withoutOtp } from "./user-data.ts";

/** An instance of the lab that is a virtual machine. */
export interface Booted {
  readonly plan: InstancePlan;
  readonly machine: Machine;
  readonly vm: VirtualMachine;
  readonly disk: string;
  readonly folder: string;
  readonly switchedOnMs: number;
}

export interface BootOptions {
  readonly lab: Lab;
  readonly folder: string;
  readonly plan: InstancePlan;
  readonly firmware: Firmware;
  /** What its disk is laid over. */
  readonly image: string;
  /** Its own already: a copy of another's. */
  readonly disk?: string;
  readonly otp: boolean;
}

const volumeGiB = 2;

/** Launches an instance from the image, with user-data as the controller's command line prints it. */
export async function boot(options: BootOptions): Promise<Booted> {
  const { lab, folder, plan, firmware, image, disk: given, otp } = options;
  const { ordinal } = plan;
  const generated = generatedUserData(lab);
  const text = otp ? generated : withoutOtp(generated);
  // The copy of a disk has its shell.
  const fitted = given === undefined ? withLabNeeds : withLabParameters;
  const userData = fitted(text, publicIpv4(ordinal));
  const machine = await lab.prepare(plan, { ec2: { userData } });
  const own = join(folder, `vm-${ordinal}`);
  mkdirSync(own, { recursive: true });
  const disk = given ?? join(own, "disk.qcow2");
  if (given === undefined) await diskOver(image, disk, volumeGiB);
  const { host } = machine.site;
  if (host === undefined) throw new Error("the lab's instance has no host");
  const switchedOnMs = performance.now();
  const vm = await VirtualMachine.start({ host, ec2: machine.ec2, firmware, disk, folder: own });
  return { plan, machine, vm, disk, folder: own, switchedOnMs };
}

export async function viewOf(lab: Lab, { machine }: Booted): Promise<InstanceView | undefined> {
  const { instanceId } = machine.ec2;
  return (await lab.listInstances()).find(({ providerInstanceId }) => providerInstanceId === instanceId);
}

/** When the controller shows the instance as wanted. @throws Error with what it shows instead. */
export async function waitForView(
  lab: Lab,
  booted: Booted,
  what: string,
  withinMs: number,
  isWanted: (view: InstanceView) => boolean,
): Promise<InstanceView> {
  let last: InstanceView | undefined;
  try {
    return await waitFor(what, withinMs, async () => {
      if (!booted.vm.isOn) throw new Error("qemu has ended");
      last = await viewOf(lab, booted);
      return last !== undefined && isWanted(last) ? last : undefined;
    });
  } catch (error) {
    const shown =
      last === undefined
        ? "not enrolled"
        : JSON.stringify({ status: last.status, conditions: last.conditions });
    throw new Error(`${(error as Error).message}; the controller shows: ${shown}`, { cause: error });
  }
}
