import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
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
}

export interface DeviceOptions {
  readonly plan: DevicePlan;
  readonly site: DeviceSite;
  readonly folder: string;
  readonly controllerUrl: string;
  readonly caFile: string;
  readonly code: string;
  readonly onExit?: ProcessOptions["onExit"];
}

/** A user's device that was handed its join code. */
export function startDevice(options: DeviceOptions): LabDevice {
  const { plan, site, folder, code } = options;
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const stateFolder = join(folder, "state");
  const codeFile = join(folder, "join.code");
  writeFileSync(codeFile, code, { mode: 0o600 });
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
  return { plan, site, process, folder, stateFolder, codeFile };
}
