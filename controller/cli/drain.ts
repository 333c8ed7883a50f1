import { exitCodes, timestamp } from "../../protocol/node/text.ts";
import type { World } from "../../protocol/node/world.ts";
import type { InstanceView } from "../core/views.ts";
import { type AskOptions, refuse, show, withClient } from "./ask.ts";
import { poll } from "./poll.ts";
import { drainText, leftText } from "./text/drain.ts";

type Options = AskOptions & {
  readonly name: string;
  readonly wait: boolean;
  readonly deadline: number | undefined;
};

/** Drains an instance for the administrator, and where it is asked for waits until nobody is left. */
export async function drain(world: World, options: Options): Promise<number> {
  return await withClient(world, options, async (client) => {
    const asked = { params: { instance: options.name } };
    const begun = await client.call("instance.drain", asked);
    if (!begun.ok) return refuse(world, options, begun.failure);
    if (!options.wait) {
      show(world, options, begun.value, () => outcome(begun.value));
      return exitCodes.fine;
    }
    let said = "";
    const ended = await poll(world, client, {
      name: "instance.show",
      asked,
      isOver: ({ draining, drain }) => !drain || draining === null || draining.left === 0,
      onAnswer: ({ draining }) => {
        const line = draining === null ? "" : leftText(draining);
        if (options.output === "text" && line !== "" && line !== said)
          world.print(`${timestamp(world.now())}  ${line}\n`);
        said = line;
      },
      forMs: options.deadline === undefined ? undefined : options.deadline * 1000,
    });
    if (!ended.ok) return refuse(world, options, ended.failure);
    show(world, options, ended.value, () => outcome(ended.value));
    const { drain, draining } = ended.value;
    return drain && draining?.left === 0 ? exitCodes.fine : exitCodes.failed;
  });
}

function outcome({ name, draining }: InstanceView): string {
  if (draining === null) return `${name} is not drained: somebody has ended it.`;
  return `${name} takes no new sessions:\n${drainText(draining).replace(/^/gm, "  ")}`;
}
