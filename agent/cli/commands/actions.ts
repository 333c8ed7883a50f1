import type { Argv } from "yargs";
import type { World } from "../../../protocol/node/world.ts";
import { AgentClient } from "../client.ts";
import { type AskOptions, askOptions, mapped, shown } from "../options.ts";
import { show } from "../show.ts";
import type { Choose } from "./choose.ts";

/** The commands that change what the agent does. */
export function withActions(argv: Argv, world: World, choose: Choose): Argv {
  const act = (asked: "drain" | "resume", o: AskOptions) => async () => {
    const { drainReport } = await import("../views/drain.ts");
    const ask = async () =>
      mapped(await new AgentClient(o.socket).act(asked), (status) => drainReport(asked, status));
    return await show(ask, shown(o), world);
  };
  return argv
    .command(
      "drain",
      "Take no new sessions",
      (y) => askOptions(y, world.env).example("$0 drain", "before maintenance; `resume` ends it"),
      (o) => choose(act("drain", o)),
    )
    .command(
      "resume",
      "End a drain that was started by hand",
      (y) =>
        askOptions(y, world.env)
          .example("$0 resume", "take new sessions again")
          .epilogue("Exit code 1: something else still drains the instance; it is named."),
      (o) => choose(act("resume", o)),
    );
}
