import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { TunnelFile, type TunnelStatus } from "../device/adapters/tunnel-file.ts";
import type { DeviceSite } from "./place.ts";
import type { DevicePlan } from "./plan.ts";
import { Process, type ProcessOptions } from "./process.ts";
import { scripts } from "./scripts.ts";

export interface LabDevice {
  readonly plan: DevicePlan;
  readonly site: DeviceSite;
  readonly process: Process;
  readonly folder: string;
  readonly stateFolder: string;
  readonly codeFile: string;
  /** What it says of its tunnel; undefined where it has none. */
  readonly tunnel: (() => TunnelStatus | undefined) | undefined;
}

export interface DeviceOptions {
  readonly plan: DevicePlan;
  readonly site: DeviceSite;
  readonly folder: string;
  readonly controllerUrl: string;
  readonly caFile: string;
  readonly onExit?: ProcessOptions["onExit"];
}

/** A user's device, which waits for its join code. */
export function startDevice(options: DeviceOptions): LabDevice {
  const { plan, site, folder } = options;
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const stateFolder = join(folder, "state");
  const codeFile = join(folder, "join.code");
  const link = ["--controller", options.controllerUrl, "--ca-file", options.caFile];
  const files = ["--state-dir", stateFolder, "--code-file", codeFile];
  const process = new Process({
    ...site.process,
    name: plan.name,
    args: [scripts.device, "run", ...link, ...files, "--name", plan.name, ...site.options],
    logFile: join(folder, "device.log"),
    ...(options.onExit === undefined ? {} : { onExit: options.onExit }),
  });
  process.start();
  const file = new TunnelFile(stateFolder);
  const tunnel = site.host === undefined ? undefined : () => file.read()?.tunnel;
  return { plan, site, process, folder, stateFolder, codeFile, tunnel };
}

/** It looks for the code twice a second, and keeps it no longer than it needs it. */
export function handCode({ codeFile }: LabDevice, code: string): void {
  writeFileSync(codeFile, code, { mode: 0o600 });
}
