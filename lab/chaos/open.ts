import { join } from "node:path";
import type { Lab } from "../lab.ts";
import { connectorName, groups, planDevices } from "../plan.ts";
import { startLab } from "../start.ts";
import { corporateAddresses } from "../vpc/corporate.ts";
import { VpcPlace } from "../vpc-place.ts";
import { Load } from "./load.ts";
import { Stage } from "./stage.ts";

/** An IPv4 prefix has so many addresses: what all but one instance can carry is what the group carries when one is lost. */
const addressesEach = 16;

export function devicesMax(instances: number): number {
  return (instances - 1) * addressesEach;
}

export interface StageOptions {
  readonly folder: string;
  readonly instances: number;
  readonly devices: number;
  readonly signal: AbortSignal;
  readonly say?: (text: string) => void;
}

/** A lab of which every instance can carry every device, at rest, under load; with production's defaults throughout. */
export async function openStage(options: StageOptions): Promise<{ stage: Stage } & AsyncDisposable> {
  const { folder, instances, signal, say = () => {} } = options;
  await using opened = new AsyncDisposableStack();
  const [{ group }] = groups;
  const devices = planDevices(options.devices).map((plan) => ({ ...plan, group }));
  const place = VpcPlace.open(join(folder, "hosts"));
  const prefixSchedule = "0 * * * * *";
  const lab = opened.use(await startLab({ folder, place, instances, devices, signal, say, prefixSchedule }));
  const { ipv4: address } = corporateAddresses.web;
  await allowByAddress(lab, `${address}/32`, group);
  const load = opened.use(new Load(lab.devices, { address, port: 80 }));
  const stage = new Stage(lab, load, signal);
  await stage.quiet();
  const open = opened.move();
  return { stage, [Symbol.asyncDispose]: () => open.disposeAsync() };
}

/** What a name allows depends on who has asked for it; this is to measure paths and nothing else. */
async function allowByAddress(lab: Lab, cidr: string, group: string): Promise<void> {
  await lab.controller.admin.call("resource.set", {
    params: { connector: connectorName, resource: "web-by-address" },
    body: {
      name: "web-by-address",
      destination: { cidr },
      protocol: "tcp",
      ports: [{ from: 80, to: 80 }],
      serverInitiated: false,
      groups: [group],
    },
  });
}
