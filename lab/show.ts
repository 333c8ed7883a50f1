import { setTimeout as sleep } from "node:timers/promises";
import { instanceTable } from "../controller/cli/text/instances.ts";
import type { InstanceView } from "../controller/core/views.ts";
import { exitCodes } from "../protocol/node/text.ts";
import { hints } from "./hints.ts";
import type { Lab } from "./lab.ts";
import { lacksOf, proofTable, prove } from "./proof.ts";
import type { Lack } from "./readiness.ts";
import type { Screen } from "./screen.ts";
import { webName } from "./services.ts";
import { Traffic } from "./traffic.ts";
import { trafficText } from "./traffic-text.ts";
import { waitFor } from "./wait.ts";

interface Until {
  /** When the lab should carry traffic, on the clock of `performance.now()`. */
  readonly readyByMs: number;
  readonly signal: AbortSignal;
}

/** Shows the instance list once all is well and what each device reaches, or what is not. Answers the exit code. */
export async function showOnce(lab: Lab, screen: Screen, until: Until): Promise<number> {
  const notReady = await awaitReady(lab, screen, until);
  const proofs = notReady.length > 0 ? [] : await prove(lab, until.readyByMs, until.signal);
  screen.print(`\n${instanceTable(await listCounted(lab, proofs.length, until), screen.width)}`);
  if (proofs.length > 0) {
    const what = `What ${webName} said to each device: the address it saw, which is the leased one`;
    screen.print(`\n${what}\n\n${proofTable(proofs, screen.width)}`);
  }
  const missing = [...notReady, ...lacksOf(proofs)];
  if (missing.length === 0 && !until.signal.aborted) return exitCodes.fine;
  if (!until.signal.aborted) screen.print(`\n${troubles(lab, missing)}`);
  return exitCodes.failed;
}

/** Shows the instance list as it changes and what flows, until it is told to stop. */
export async function showLive(lab: Lab, screen: Screen, until: Until): Promise<void> {
  const { signal } = until;
  const missing = await awaitReady(lab, screen, until);
  if (missing.length > 0 && !signal.aborted) screen.print(`\n${troubles(lab, missing)}`);
  screen.print(`\n${hints(lab)}\n\nCtrl-C ends everything.`);
  await using traffic = new Traffic(lab);
  await traffic.begun(signal);
  while (!signal.aborted) {
    const { list, flow } = await look(lab, traffic, screen);
    screen.show(list, flow);
    await sleep(refreshMs, undefined, { signal }).catch(() => undefined);
  }
}

const refreshMs = 1_000;

/** The instances, once they have told of so many active agents: they count every two seconds. */
async function listCounted(lab: Lab, agents: number, { signal }: Until): Promise<InstanceView[]> {
  const haveTold = async () => {
    const told = (await lab.listInstances()).reduce((sum, { activeAgents }) => sum + activeAgents, 0);
    return told >= agents;
  };
  await waitFor("active agents", countedWithinMs, haveTold, signal).catch(() => undefined);
  return lab.listInstances();
}

const countedWithinMs = 1_500;

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

async function look(lab: Lab, traffic: Traffic, { width, height }: Screen): Promise<Shown> {
  try {
    const instances = await lab.listInstances();
    const list = instanceTable(instances, width);
    if (!traffic.isThere) return { list };
    const linesMax = height === undefined ? undefined : height - list.split("\n").length - 2;
    return { list, flow: trafficText(await traffic.view(instances), width, linesMax) };
  } catch (error) {
    return { list: `No list: ${(error as Error).message}` };
  }
}

interface Shown {
  readonly list: string;
  readonly flow?: string;
}

/** More say the same again. */
const logsMax = 4;

/** What is missing, and the last words of the processes that should have done it. */
function troubles(lab: Lab, missing: readonly Lack[]): string {
  const names = new Set(missing.map(({ process }) => process));
  const logs = [lab.controller, ...lab.instances, ...lab.devices]
    .filter(({ process }) => process === lab.controller.process || names.has(process.name))
    .slice(0, logsMax)
    .map(({ process }) => `The end of the log of ${process.name}:\n${process.tail(5).join("\n")}`);
  const list = missing.map(({ text }) => `  ${text}`).join("\n");
  return [`Not ready:\n${list}`, ...logs, "With --keep the run folder stays, with all logs."].join("\n\n");
}
