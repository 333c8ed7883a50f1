#!/usr/bin/env node
import { softwareVersion } from "../../protocol/node/software.ts";
import { processWorld } from "../../protocol/node/world.ts";

const args = process.argv.slice(2);
// Scripts ask for the version often; it needs no argument parser.
if (args.length === 1 && args[0] === "--version") {
  process.stdout.write(`connector-controller ${softwareVersion}\n`);
} else {
  const { runCli } = await import("./program.ts");
  process.exitCode = await runCli(args, processWorld());
}
