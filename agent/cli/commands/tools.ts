import type { Argv } from "yargs";
import { success } from "../../../protocol/failures.ts";
import type { World } from "../../../protocol/node/world.ts";
import { askOptions, hostOptions, outputOptions, shown } from "../options.ts";
import { show } from "../show.ts";
import type { Choose } from "./choose.ts";

/** The commands that need no agent. */
export function withTools(argv: Argv, world: World, choose: Choose): Argv {
  return argv
    .command(
      "check",
      "Look at the host and the way to the controller, without the agent",
      (y) =>
        hostOptions(outputOptions(y))
          .example("sudo $0 check", "everything; some files are root's")
          .epilogue("Exit code 1: a line says FAIL or warn."),
      (o) =>
        choose(async () => {
          const { checkHost } = await import("../check/main.ts");
          const host = { parameters: o.parameters, stateDir: o.stateDir, env: world.env };
          return await show(async () => success(await checkHost(host)), shown(o), world);
        }),
    )
    .command(
      "support-bundle",
      "Gather what support needs, without secrets",
      (y) =>
        hostOptions(askOptions(y, world.env))
          .option("out", {
            type: "string",
            requiresArg: true,
            describe: "File to write [connector-….tar.gz]",
          })
          .option("anonymise", { type: "boolean", default: false, describe: "Replace users' names" })
          .example("sudo $0 support-bundle --anonymise", "to send to somebody else")
          .epilogue(
            "Keys and one-time passwords are never in it. Exit code 1: a part could not be gathered.",
          ),
      (o) =>
        choose(async () => {
          const { supportBundle } = await import("../bundle/main.ts");
          return await show(() => supportBundle(o, world), shown(o), world);
        }),
    );
}
