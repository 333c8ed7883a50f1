import { execFile } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { AgentClient } from "../../agent/cli/client.ts";
import type { Read, Reads } from "../../agent/core/local-api.ts";
import type { DeviceView, SessionView } from "../../controller/core/views.ts";
import type { LabInstance } from "../../lab/instance.ts";
import type { Lab } from "../../lab/lab.ts";
import { scripts } from "../../lab/scripts.ts";
import { until } from "../support/until.ts";

/**
 * No device has a tunnel here, so none can say that its path works while an agent is away, and a busy machine takes its time
 * to start one again.
 */
export const patient = { linkGraceMs: 60_000, returnGraceMs: 60_000 } as const;

/** By its number, from 1. */
export function instanceOf({ instances }: Lab, ordinal = 1): LabInstance {
  const found = instances[ordinal - 1];
  if (found === undefined) throw new RangeError(`no instance ${ordinal}`);
  return found;
}

/** What the agent's socket says; undefined while it does not answer. */
export async function look<What extends Read>(
  instance: LabInstance,
  what: What,
): Promise<Reads[What] | undefined> {
  const answer = await new AgentClient(instance.socket).read(what);
  return answer.ok ? answer.value : undefined;
}

/** Waits until `connector status` of this instance would show this condition. */
export async function untilCondition(instance: LabInstance, code: string): Promise<void> {
  let shown: string[] = [];
  try {
    await until(
      code,
      async () => {
        shown = (await look(instance, "status"))?.conditions.map((condition) => condition.code) ?? [];
        return shown.includes(code);
      },
      40_000,
    );
  } catch (error) {
    throw new Error(`${instance.process.name} shows ${JSON.stringify(shown)}, not ${code}`, { cause: error });
  }
}

export async function untilActive(lab: Lab, deadlineMs = 40_000): Promise<void> {
  let lacks: unknown;
  try {
    await until(
      "all Active and attached",
      async () => {
        // The controller may be starting.
        lacks = await lab.lacks().catch((error: Error) => error.message);
        return Array.isArray(lacks) && lacks.length === 0;
      },
      deadlineMs,
    );
  } catch (error) {
    throw new Error(`not Active and attached: ${JSON.stringify(lacks)}`, { cause: error });
  }
}

/** Where everybody is: device name → session, epoch, instance and addresses. */
export async function places(lab: Lab): Promise<Map<string, string>> {
  const at = ({ id, epoch, instance, ipv4, ipv6 }: SessionView) =>
    [id, epoch, instance, ipv4, ipv6].join(" ");
  const devices: DeviceView[] = await lab.listDevices();
  return new Map(
    devices.map(({ name, session }) => [name, session === null ? "" : at(session)] as const).sort(),
  );
}

/** Runs the operator's command line. */
export function connector(...args: string[]) {
  return run(scripts.cli, ...args);
}

/** Runs the administrator's command line on the lab's controller. */
export function controllerCli({ controller }: Lab, ...args: string[]) {
  const { url, caFile, tokenFile } = controller;
  const connection = ["--controller", url, "--ca-file", caFile, "--token-file", tokenFile];
  return run(scripts.controller, ...args, ...connection);
}

export function run(
  script: string,
  ...args: string[]
): Promise<{ code: number; output: string; errors: string }> {
  const { promise, resolve } = Promise.withResolvers<{ code: number; output: string; errors: string }>();
  const child = execFile(process.execPath, [script, ...args], (_error, output, errors) => {
    resolve({ code: child.exitCode ?? -1, output, errors });
  });
  return promise;
}

/** All log files of a run, by path. */
export function logsIn(folder: string): Map<string, string> {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".log"))
    .map((entry) => join(entry.parentPath, entry.name));
  return new Map(files.map((path) => [path, readFileSync(path, "utf8")]));
}
