import type { Argv } from "yargs";
import { softwareVersion } from "../../../protocol/node/software.ts";
import { exitCodes } from "../../../protocol/node/text.ts";
import { askOptions, type Cli } from "../options.ts";

/** `status`, `serve` and `openapi`: the controller itself. */
export function serveCommands(argv: Argv, { world, choose }: Cli): Argv {
  return argv
    .command(
      "status",
      "How the group is, and what needs attention",
      (y) =>
        askOptions(y)
          .example("$0 status", "")
          .epilogue(
            "Exit code 1: a connector has no active instance, or an instance has a condition worse than info.",
          ),
      (o) => choose(async () => (await import("../status.ts")).status(world, o)),
    )
    .command(
      "openapi",
      "Print the OpenAPI 3.1 description of the admin API",
      (y) => y.example("$0 openapi > openapi.json", ""),
      () =>
        choose(async () => {
          const { describeApi } = await import("../../api/describe.ts");
          world.print(`${JSON.stringify(await describeApi(softwareVersion), null, 2)}\n`);
          return exitCodes.fine;
        }),
    );
}
