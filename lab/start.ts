import { setTimeout as sleep } from "node:timers/promises";
import type { LabInstance } from "./instance.ts";
import { Lab, type LabOptions } from "./lab.ts";
import { planDevices, planInstances } from "./plan.ts";
import { waitFor } from "./wait.ts";

/** How long one step is waited for before the next one is taken without it, ms: who watches is told what is missing. */
const patienceMs = 20_000;

/** The whole lab: instances with their pools, then the devices. */
export async function startLab(
  options: LabOptions & { readonly instances?: number; readonly devices?: number },
): Promise<Lab> {
  const { signal, say = () => {} } = options;
  const lab = await Lab.start(options);
  try {
    for (const plan of planInstances(options.instances ?? 3)) {
      // One after the other, so that the nth instance gets the nth name.
      const instance = await lab.launch(plan);
      await Promise.race([configure(lab, instance, options), sleep(patienceMs, undefined, { ref: false })]);
    }
    // An instance that is Active before the others would get all the devices that wait.
    const isActive = async () => (await lab.lacks()).length === 0;
    await waitFor("all instances to be Active", patienceMs, isActive, signal).catch(() => {});
    const devices = planDevices(options.devices ?? 10).map((plan) => lab.addDevice(plan));
    await Promise.all(devices);
    say(`${devices.length} devices started with their join codes`);
    return lab;
  } catch (error) {
    await lab[Symbol.asyncDispose]();
    throw error;
  }
}

async function configure(lab: Lab, instance: LabInstance, options: LabOptions): Promise<void> {
  const { signal, say = () => {} } = options;
  try {
    const { name } = await lab.configurePools(instance, signal);
    say(`${name} enrolled, its prefixes assigned and its pools configured`);
  } catch (error) {
    if (signal?.aborted !== true) say(`instance ${instance.plan.ordinal}: ${(error as Error).message}`);
  }
}
