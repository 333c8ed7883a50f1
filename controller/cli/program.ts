import yargs, { type Argv } from "yargs";
import { softwareVersion } from "../../protocol/node/software.ts";
import { exitCodes, nearest } from "../../protocol/node/text.ts";
import type { World } from "../../protocol/node/world.ts";
import { accessCommands } from "./commands/access.ts";
import { connectorCommands } from "./commands/connectors.ts";
import { deviceCommands } from "./commands/devices.ts";
import { instanceCommands } from "./commands/instances.ts";
import { serveCommands } from "./commands/serve.ts";
import type { Cli } from "./options.ts";

/**
 * Reads the command line, runs what it names and returns the exit code. yargs only parses; what a command needs is
 * loaded when it is the one to run.
 */
export async function runCli(args: readonly string[], world: World): Promise<number> {
  const [first, shell, ...rest] = args;
  if (first === "completion" && (shell === "bash" || shell === "zsh")) {
    // yargs writes the script for the shell of the environment.
    process.env.SHELL = `/bin/${shell}`;
    return await runCli([first, ...rest], world);
  }
  let run: (() => Promise<number>) | undefined;
  let parsed: number = exitCodes.fine;
  const parser = program({
    world,
    choose: (chosen) => {
      run = chosen;
    },
  });
  await parser.parseAsync([...args], {}, (error: Error | undefined, _argv: unknown, output: string) => {
    if (!error && output === "") return;
    run = undefined;
    if (!error) return world.print(`${output}\n`);
    parsed = exitCodes.usage;
    world.complain(usageError(error.message, args));
  });
  return (await run?.()) ?? parsed;
}

const commandNames = [
  "connector",
  "group",
  "resource",
  "instance",
  "otp",
  "user-data",
  "device-code",
  "device",
  "session",
  "audit",
  "token",
  "status",
  "serve",
  "openapi",
  "completion",
];

/** yargs guesses what was meant below a command, but not the command itself. */
function usageError(message: string, [command = ""]: readonly string[]): string {
  const isKnown = commandNames.includes(command);
  const meant = isKnown ? undefined : nearest(command, commandNames);
  const guess = meant === undefined ? "" : `Did you mean \`connector-controller ${meant}\`? `;
  const help = `See \`connector-controller ${isKnown ? `${command} ` : ""}--help\`.`;
  return `connector-controller: ${message}\n${guess}${help}\n`;
}

function program(cli: Cli): Argv {
  const base = yargs([])
    .scriptName("connector-controller")
    .usage("$0 COMMAND\n\nRuns and administers the controller of connector groups.")
    .strict()
    .recommendCommands()
    .demandCommand(1, "name a command")
    .exitProcess(false)
    .parserConfiguration({ "duplicate-arguments-array": true, "greedy-arrays": false })
    .version(`connector-controller ${softwareVersion}`)
    .help()
    .alias("help", "h")
    .wrap(Math.min(80, cli.world.screen()?.columns ?? 80))
    .epilogue(
      "Exit codes: 0 fine, 1 refused, 2 cannot tell (no controller answers), 64 wrong usage.\n" +
        "The controller is named by --controller or CONNECTOR_URL; tokens come from a file or the environment, never from the command line.",
    );
  let commands = base;
  for (const add of [connectorCommands, instanceCommands, deviceCommands, accessCommands, serveCommands]) {
    commands = add(commands, cli);
  }
  return commands.completion("completion", "Print the completion script: completion bash|zsh");
}
