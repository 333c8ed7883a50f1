import yargs, { type Argv } from "yargs";
import { runCommandLine } from "../../protocol/node/command-line.ts";
import { softwareVersion } from "../../protocol/node/software.ts";
import { exitCodes } from "../../protocol/node/text.ts";
import type { World } from "../../protocol/node/world.ts";
import { defaultSocket } from "../core/local-api.ts";
import { AgentClient } from "./client.ts";
import { withActions } from "./commands/actions.ts";
import type { Choose } from "./commands/choose.ts";
import { withTools } from "./commands/tools.ts";
import { withViews } from "./commands/views.ts";

/** Reads the command line, runs what it names and returns the exit code. */
export async function runCli(args: readonly string[], world: World): Promise<number> {
  if (args[0] === "--get-yargs-completions") return await complete(args, world);
  const line = {
    name: "connector",
    commands: commandNames,
    program: (choose: Choose) => program(args, world, choose),
  };
  return await runCommandLine(line, args, world);
}

/**
 * What the completion script asks: the words so far, the command's own name first. The names of pools come from the
 * agent, everything else is yargs' own knowledge; a half-written line is no error.
 */
async function complete(args: readonly string[], world: World): Promise<number> {
  if (args.at(-2) === "--pool") {
    const names = await poolNames(world.env.CONNECTOR_SOCKET || defaultSocket);
    world.print(names.map((name) => `${name}\n`).join(""));
    return exitCodes.fine;
  }
  const parser = program(args, world, () => {}).strict(false);
  await parser.parseAsync([...args], {}, (_error: Error | undefined, _argv: unknown, output: string) => {
    world.print(`${output}\n`);
  });
  return exitCodes.fine;
}

async function poolNames(socket: string): Promise<string[]> {
  const pools = await new AgentClient(socket).read("pools", 500);
  return pools.ok ? pools.value.map(({ name }) => name) : [];
}

const commandNames = [
  "status",
  "pools",
  "leases",
  "prefixes",
  "sessions",
  "check",
  "drain",
  "resume",
  "leave",
  "otp",
  "support-bundle",
  "completion",
];

function program(args: readonly string[], world: World, choose: Choose): Argv {
  const base = yargs([...args])
    .scriptName("connector")
    .usage("$0 COMMAND\n\nReads and steers the agent of this connector instance.")
    .strict()
    .demandCommand(1, "name a command")
    .exitProcess(false)
    .version(`connector ${softwareVersion}`)
    .help()
    .alias("help", "h")
    .wrap(Math.min(80, world.screen()?.columns ?? 80))
    .epilogue(
      "Exit codes: 0 fine, 1 degraded, 2 cannot tell (no agent answers), 64 wrong usage.\nText fits the terminal; in a pipe every value is whole, one row a line.",
    );
  return withTools(withActions(withViews(base, world, choose), world, choose), world, choose).completion(
    "completion",
    "Print the completion script of your shell (or: completion bash, completion zsh)",
  );
}
