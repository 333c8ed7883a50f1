#!/usr/bin/env node
import { softwareVersion } from "../../protocol/node/software.ts";
import { processWorld } from "../../protocol/node/world.ts";

const args = process.argv.slice(2);
// Scripts ask for the version often; it needs no argument parser.
if (args.length === 1 && args[0] === "--version") process.stdout.write(`connector ${softwareVersion}\n`);
else {
  // yargs writes the completion script for the shell that $SHELL names; `completion zsh` asks for another one.
  const [command, shell] = args;
  if (command === "completion" && (shell === "bash" || shell === "zsh")) {
    process.env.SHELL = shell;
    args.length = 1;
  }
  const { runCli } = await import("./program.ts");
  process.exitCode = await runCli(args, processWorld());
  // A connection that a proxy keeps open must not keep a probe's process: once all is written, it ends.
  process.stdout.write("", () => setTimeout(() => process.exit(), 50).unref());
}
