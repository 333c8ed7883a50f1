import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { DevicePlan } from "./plan.ts";
import { Process, type ProcessOptions } from "./process.ts";
import { scripts } from "./scripts.ts";

export interface LabDevice {
  readonly plan: DevicePlan;
  readonly process: Process;
  readonly folder: string;
  readonly stateFolder: string;
  readonly codeFile: string;
}

export interface DeviceOptions {
  readonly plan: DevicePlan;
  readonly folder: string;
  readonly controllerUrl: string;
  readonly caFile: string;
  readonly code: string;
  readonly onExit?: ProcessOptions["onExit"];
}

/** A user's device that was handed its join code. */
export function startDevice(options: DeviceOptions): LabDevice {
  const { plan, folder, code } = options;
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const stateFolder = join(folder, "state");
  const codeFile = join(folder, "join.code");
  writeFileSync(codeFile, code, { mode: 0o600 });
  const link = ["--controller", options.controllerUrl, "--ca-file", options.caFile];
  const files = ["--state-dir", stateFolder, "--code-file", codeFile];
  const process = new Process({
    name: plan.name,
    args: [scripts.device, "run", ...link, ...files, "--name", plan.name],
    logFile: join(folder, "device.log"),
    ...(options.onExit === undefined ? {} : { onExit: options.onExit }),
  });
  process.start();
  return { plan, process, folder, stateFolder, codeFile };
}
