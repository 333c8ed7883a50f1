import { setTimeout as sleep } from "node:timers/promises";
import type { LabInstance } from "./instance.ts";
import { Lab, type LabOptions } from "./lab.ts";
import { planDevices, planInstances } from "./plan.ts";
import { waitFor } from "./wait.ts";

/** How long the instances are waited for before the devices start without them, ms: who watches is told who is missing. */
const patienceMs = 30_000;

/** The whole lab: instances with their pools, then the devices. */
export async function startLab(
  options: LabOptions & { readonly instances?: number; readonly devices?: number },
): Promise<Lab> {
  const { signal, say = () => {} } = options;
  const lab = await Lab.start(options);
  const goOnAtMs = performance.now() + patienceMs;
  const patience = () => Math.max(0, goOnAtMs - performance.now());
  try {
    for (const plan of planInstances(options.instances ?? 3)) {
      signal?.throwIfAborted();
      // One after the other, so that the nth instance gets the nth name.
      const instance = await lab.launch(plan);
      await Promise.race([configure(lab, instance, options), sleep(patience(), undefined, { ref: false })]);
    }
    // An instance that is Active before the others would get all the devices that wait.
    const isActive = async () => (await lab.lacks()).length === 0;
    await waitFor("all instances to be Active", patience(), isActive, signal).catch(() => {});
    signal?.throwIfAborted();
    const devices = planDevices(options.devices ?? 10).map((plan) => lab.addDevice(plan));
    await Promise.all(devices);
    say(`${devices.length} devices started with their join codes`);
    return lab;
  } catch (error) {
    await lab[Symbol.asyncDispose]();
    throw error;
  }
}

/** Goes on in the background when nobody waits for it any more. */
async function configure(lab: Lab, instance: LabInstance, { say = () => {} }: LabOptions): Promise<void> {
  try {
    const { name } = await lab.configurePools(instance);
    say(`${name} enrolled, prefixes assigned, pools configured`);
  } catch (error) {
    if ((error as Error).name !== "AbortError")
      say(`instance ${instance.plan.ordinal}: ${(error as Error).message}`);
  }
}
