import type { Argv } from "yargs";
import { nearest } from "../nearest.ts";
import { exitCodes } from "./text.ts";
import type { World } from "./world.ts";

/** A program with commands. */
export interface CommandLine {
  readonly name: string;
  readonly commands: readonly string[];
  /** yargs only parses: whichever command is named is chosen, and what it needs is loaded when it runs. */
  readonly program: (choose: (run: () => Promise<number>) => void) => Argv;
}

/** Reads the command line, runs what it names and returns the exit code. */
export async function runCommandLine(
  line: CommandLine,
  args: readonly string[],
  world: World,
): Promise<number> {
  let run: (() => Promise<number>) | undefined;
  let parsed: number = exitCodes.fine;
  const parser = line.program((chosen) => {
    run = chosen;
  });
  await parser.parseAsync([...args], {}, (error: Error | undefined, _argv: unknown, output: string) => {
    if (!error && output === "") return;
    run = undefined;
    if (!error) return world.print(`${output}\n`);
    parsed = exitCodes.usage;
    world.complain(usageError(line, error.message, args));
  });
  return (await run?.()) ?? parsed;
}

/** yargs guesses what was meant below a command, but not the command itself. */
function usageError(
  { name, commands }: CommandLine,
  message: string,
  [command = ""]: readonly string[],
): string {
  const isKnown = commands.includes(command);
  const meant = isKnown ? undefined : nearest(command, commands);
  const guess = meant === undefined ? "" : `Did you mean \`${name} ${meant}\`? `;
  return `${name}: ${message}\n${guess}See \`${name} ${isKnown ? `${command} ` : ""}--help\`.\n`;
}
