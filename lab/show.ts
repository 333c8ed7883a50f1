import { setTimeout as sleep } from "node:timers/promises";
import { instanceTable } from "../controller/cli/text/instances.ts";
import { exitCodes } from "../protocol/node/text.ts";
import { hints } from "./hints.ts";
import type { Lab } from "./lab.ts";
import type { Lack } from "./readiness.ts";
import type { Screen } from "./screen.ts";

interface Until {
  /** When the lab should carry traffic, on the clock of `performance.now()`. */
  readonly readyByMs: number;
  readonly signal: AbortSignal;
}

/** Shows the instance list once all is well, or what is not. Answers the exit code. */
export async function showOnce(lab: Lab, screen: Screen, until: Until): Promise<number> {
  const missing = await awaitReady(lab, screen, until);
  screen.print(`\n${instanceTable(await lab.listInstances(), screen.width)}`);
  if (missing.length === 0) return exitCodes.fine;
  if (!until.signal.aborted) screen.print(`\n${troubles(lab, missing)}`);
  return exitCodes.failed;
}

/** Shows the instance list as it changes, until it is told to stop. */
export async function showLive(lab: Lab, screen: Screen, until: Until): Promise<void> {
  const { signal } = until;
  const missing = await awaitReady(lab, screen, until);
  if (missing.length > 0 && !signal.aborted) screen.print(`\n${troubles(lab, missing)}`);
  screen.print(`\n${hints(lab)}\n\nCtrl-C ends everything.`);
  while (!signal.aborted) {
    screen.show(await listText(lab, screen.width));
    await sleep(500, undefined, { signal }).catch(() => undefined);
  }
}

async function awaitReady(lab: Lab, screen: Screen, until: Until): Promise<Lack[]> {
  const { readyByMs, signal } = until;
  for (;;) {
    const missing = await lab.lacks();
    if (missing.length === 0) {
      screen.say(
        `all is well: instances Active ${lab.instances.length}, devices attached ${lab.devices.length}`,
      );
    }
    if (missing.length === 0 || signal.aborted || performance.now() > readyByMs) return missing;
    await sleep(50, undefined, { signal }).catch(() => undefined);
  }
}

async function listText(lab: Lab, width: number | undefined): Promise<string> {
  try {
    return instanceTable(await lab.listInstances(), width);
  } catch (error) {
    return `No list: ${(error as Error).message}`;
  }
}

/** What is missing, and the last words of the processes that should have done it. */
function troubles(lab: Lab, missing: readonly Lack[]): string {
  const names = new Set(missing.map(({ process }) => process));
  const logs = [lab.controller, ...lab.instances, ...lab.devices]
    .filter(({ process }) => process === lab.controller.process || names.has(process.name))
    .map(({ process }) => `The end of the log of ${process.name}:\n${process.tail(5).join("\n")}`);
  const list = missing.map(({ text }) => `  ${text}`).join("\n");
  return [`Not ready:\n${list}`, ...logs, "With --keep the run folder stays, with all logs."].join("\n\n");
}
