import type { Result } from "../../protocol/failures.ts";
import { exitCodes, timestamp } from "../../protocol/node/text.ts";
import type { World } from "../../protocol/node/world.ts";
import type { RestartStepView, RestartView } from "../core/restart-views.ts";
import { type AskOptions, refuse, show, withClient } from "./ask.ts";
import type { ControllerClient } from "./client.ts";
import { poll } from "./poll.ts";
import { nextOf, progressLine, restartLines, restartText } from "./text/restarts.ts";

interface Options extends AskOptions {
  readonly name: string;
  readonly wait: boolean;
  readonly show: boolean | undefined;
  readonly cancel: boolean | undefined;
  readonly minActive: number | undefined;
}

/** `connector restart`: begins a rolling restart, shows one, or cancels it. */
export async function restart(world: World, options: Options): Promise<number> {
  return await withClient(world, options, async (client) => {
    const begun = await act(client, options);
    if (!begun.ok) return refuse(world, options, begun.failure);
    if (options.wait) return await follow(world, options, client);
    show(world, options, begun.value, () => restartText(begun.value));
    return exitCodes.fine;
  });
}

async function act(
  client: ControllerClient,
  { name, minActive, ...asked }: Options,
): Promise<Result<RestartView>> {
  const params = { connector: name };
  if (asked.show) return await client.call("connector.restart.show", { params });
  if (asked.cancel) return await client.call("connector.restart.cancel", { params });
  const body = minActive === undefined ? {} : { minActive };
  return await client.call("connector.restart", { params, body });
}

/** A line for each step as it comes, and what came of it; programs get a line with the whole view each time. */
async function follow(world: World, options: Options, client: ControllerClient): Promise<number> {
  const said = new Map<string, string>();
  const isNews = (step: RestartStepView) => {
    const line = progressLine(step);
    const before = said.get(step.instance);
    said.set(step.instance, line);
    return before !== line && !(before === undefined && step.state === "queued");
  };
  let lastView = "";
  const tell = (view: RestartView) => {
    if (options.output === "json") {
      const text = JSON.stringify(view);
      if (text !== lastView) world.print(`${text}\n`);
      lastView = text;
      return;
    }
    const time = timestamp(world.now());
    for (const step of view.steps.filter(isNews)) world.print(`${time}  ${progressLine(step)}\n`);
  };
  const ended = await poll(world, client, {
    name: "connector.restart.show",
    asked: { params: { connector: options.name } },
    isOver: ({ state }) => state !== "running",
    onAnswer: tell,
  });
  if (!ended.ok) return refuse(world, options, ended.failure);
  const view = ended.value;
  if (options.output === "text") world.print(`${restartLines(view)}\n→ ${nextOf(view)}\n`);
  return view.state === "done" ? exitCodes.fine : exitCodes.failed;
}
