import { setTimeout as sleep } from "node:timers/promises";
import type { LabInstance } from "./instance.ts";
import { Lab, type LabOptions } from "./lab.ts";
import { type DevicePlan, planDevices, planInstances } from "./plan.ts";
import { waitFor } from "./wait.ts";

/** How long the instances are waited for before the devices start without them, ms: who watches is told who is missing. */
const patienceMs = 30_000;

/** The whole lab: instances with their pools, then the devices. */
export async function startLab(
  options: LabOptions & { readonly instances?: number; readonly devices?: number | readonly DevicePlan[] },
): Promise<Lab> {
  const { signal, say = () => {} } = options;
  const lab = await Lab.start(options);
  const goOnAtMs = performance.now() + patienceMs;
  const patience = () => Math.max(0, goOnAtMs - performance.now());
  const { devices: planned = 10 } = options;
  const devicePlans = typeof planned === "number" ? planDevices(planned) : planned;
  const mayJoin = Promise.withResolvers<void>();
  try {
    const plans = planInstances(options.instances ?? 3);
    for (const plan of plans) lab.prepare(plan);
    // Users have switched them on, and wait to be let in: a device takes longer to start than to join.
    const devices = Promise.all(devicePlans.map((plan) => lab.addDevice(plan, mayJoin.promise)));
    devices.catch(() => {});
    for (const plan of plans) {
      signal?.throwIfAborted();
      // One after the other, so that the nth instance gets the nth name.
      const instance = await lab.launch(plan);
      await Promise.race([configure(lab, instance, options), sleep(patience(), undefined, { ref: false })]);
    }
    // An instance that is Active before the others would get all the devices that wait.
    const areActive = () => lab.areInstancesActive();
    await waitFor("all instances to be Active", patience(), areActive, signal).catch(() => {});
    signal?.throwIfAborted();
    mayJoin.resolve();
    say(`${(await devices).length} devices were handed their join codes`);
    return lab;
  } catch (error) {
    mayJoin.reject(error);
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
