import type { Argv } from "yargs";
import { success } from "../../../protocol/failures.ts";
import { serviceManager } from "../../../protocol/node/service-manager.ts";
import { timestamp } from "../../../protocol/node/text.ts";
import type { World } from "../../../protocol/node/world.ts";
import type { StatusView } from "../../../protocol/view.ts";
import { drainSecondsMax, leaveWithinMs } from "../../core/local-api.ts";
import { AgentClient } from "../client.ts";
import { type AskOptions, askOptions, mapped, shown } from "../options.ts";
import { show, showOnce } from "../show.ts";
import type { Asked } from "../views/drain.ts";
import type { Choose } from "./choose.ts";

interface DrainArguments extends AskOptions {
  readonly wait: boolean;
  readonly deadline: number | undefined;
}

/** The commands that change what the agent does. */
export function withActions(argv: Argv, world: World, choose: Choose): Argv {
  return argv
    .command(
      "drain",
      "Take no new sessions; those that are here move elsewhere",
      (y) =>
        waitOptions(askOptions(y, world.env))
          .example("$0 drain", "before maintenance; `resume` ends it")
          .example("$0 drain --wait --deadline 300", "ends when nobody is left, after 5 minutes at most")
          .epilogue(
            "Exit code 0: it drains; with --wait: nobody is left. 1: somebody is left after the deadline, or it was interrupted. The deadline ends no drain: `resume` does.",
          ),
      (o) => choose(drain("drain", o, world)),
    )
    .command(
      "resume",
      "End a drain that was started by hand",
      (y) =>
        askOptions(y, world.env)
          .example("$0 resume", "take new sessions again")
          .epilogue("Exit code 1: something else still drains the instance; it is named."),
      (o) => choose(resume(o, world)),
    )
    .command(
      "leave",
      "Leave the group for good: drain, say goodbye, stay away",
      (y) =>
        waitOptions(askOptions(y, world.env), { wait: true, deadline: leaveWithinMs / 1000 })
          .example("$0 leave", "before the host is shut down: waits for a minute at most")
          .example("$0 leave --deadline 300", "more time for moving")
          .epilogue(
            "Exit code 0: everybody had moved. 1: the deadline came first; the controller moves the others at once. The agent runs on and stays away until it is started again.",
          ),
      (o) => choose(drain("leave", o, world)),
    );
}

function waitOptions<T>(
  argv: Argv<T>,
  { wait = false, deadline }: { wait?: boolean; deadline?: number } = {},
) {
  return argv
    .option("wait", { type: "boolean", default: wait, describe: "Wait until nobody is left" })
    .option("deadline", {
      type: "string",
      requiresArg: true,
      ...(deadline === undefined ? {} : { default: String(deadline) }),
      describe: "Seconds it may take",
      coerce: deadlineSeconds,
    });
}

function deadlineSeconds(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const seconds = Number(text);
  if (Number.isInteger(seconds) && seconds >= 1 && seconds <= drainSecondsMax) return seconds;
  throw new Error(`--deadline takes whole seconds from 1 to ${drainSecondsMax}, not ${text}`);
}

function resume(o: AskOptions, world: World) {
  return async () => {
    const { drainReport } = await import("../views/drain.ts");
    const ask = async () =>
      mapped(await new AgentClient(o.socket).act("resume"), (status) => drainReport("resume", status));
    return await show(ask, shown(o), world);
  };
}

function drain(asked: Exclude<Asked, "resume">, o: DrainArguments, world: World) {
  return async () => {
    const { drainReport } = await import("../views/drain.ts");
    const client = new AgentClient(o.socket);
    const forMs = o.deadline === undefined ? undefined : o.deadline * 1000;
    const begun = await client.act(asked, { forMs });
    if (!begun.ok || !o.wait)
      return showOnce(
        mapped(begun, (status) => drainReport(asked, status)),
        o,
        world,
      );
    if (asked === "leave") await holdUp(world, forMs);
    const { waitFor } = await import("../wait.ts");
    const last = await waitFor(
      () => client.read("status"),
      {
        isOver: (status) => isOver(asked, status),
        forMs: forMs && forMs + graceMs,
        onProgress: tell(o, world),
      },
      world,
    );
    if (!last.ok) return showOnce(last, o, world);
    return showOnce(success(drainReport(asked, last.value, true)), o, world);
  };
}

/** As a unit's ExecStop=, it may take longer than the unit's time-out says: the operator's deadline counts. */
async function holdUp(world: World, forMs = leaveWithinMs): Promise<void> {
  const complain = (error: unknown) => world.complain(`connector: systemd was not told to wait: ${error}\n`);
  const manager = serviceManager(world.env, complain);
  const status = "Leaves the group; waits until its sessions have moved";
  await manager?.tell({ say: "stillStopping", status, forMs: forMs + stopGraceMs });
}

/** From the deadline to the end of the command. */
const stopGraceMs = 15_000;

/** The agent says itself that the time is up; one that does not is not waited for much longer. */
const graceMs = 2_000;

function isOver(
  asked: Exclude<Asked, "resume">,
  { sessions, drain, draining, departure, nowMs }: StatusView,
) {
  switch (asked) {
    case "drain":
      return sessions === 0 || !drain.includes("cli") || (draining?.untilMs ?? nowMs + 1) <= nowMs;
    case "leave":
      return departure?.state === "left";
  }
}

/** A line for people each time somebody has gone; programs get the end of it. */
function tell({ output }: AskOptions, world: World) {
  return ({ sessions, draining, nowMs }: StatusView) => {
    if (output === "json") return;
    const of = draining === undefined ? "" : ` of ${Math.max(sessions, draining.sessionsMost)}`;
    world.print(`${timestamp(nowMs)}  ${sessions}${of} left\n`);
  };
}
