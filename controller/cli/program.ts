import yargs, { type Argv } from "yargs";
import { runCommandLine } from "../../protocol/node/command-line.ts";
import { softwareVersion } from "../../protocol/node/software.ts";
import type { World } from "../../protocol/node/world.ts";
import { accessCommands } from "./commands/access.ts";
import { connectorCommands } from "./commands/connectors.ts";
import { deviceCommands } from "./commands/devices.ts";
import { instanceCommands } from "./commands/instances.ts";
import { serveCommands } from "./commands/serve.ts";
import type { Cli } from "./options.ts";

/** Reads the command line, runs what it names and returns the exit code. */
export async function runCli(args: readonly string[], world: World): Promise<number> {
  const [first, shell, ...rest] = args;
  if (first === "completion" && (shell === "bash" || shell === "zsh")) {
    // yargs writes the script for the shell of the environment.
    process.env.SHELL = `/bin/${shell}`;
    return await runCli([first, ...rest], world);
  }
  const line = {
    name: "connector-controller",
    commands: commandNames,
    program: (choose: Cli["choose"]) => program({ world, choose }),
  };
  return await runCommandLine(line, args, world);
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
