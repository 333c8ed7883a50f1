import type { Result } from "../../protocol/failures.ts";
import { commandRunner } from "../../protocol/node/command.ts";

const run = commandRunner();

/** @throws Error with the command and what it complained about. */
export async function must(argv: readonly string[], input?: string): Promise<string> {
  return insist(await run(argv, input === undefined ? {} : { input }));
}

export function insist(result: Result<string>): string {
  if (result.ok) return result.value;
  const { command, error } = result.failure.facts;
  throw new Error(`${command}: ${error}`, { cause: result.failure });
}

/** `ip` commands in order, in one process; in the machine's own namespace when none is named. */
export async function ip(namespace: string | undefined, lines: readonly string[]): Promise<void> {
  const where = namespace === undefined ? [] : ["-n", namespace];
  await must(["ip", ...where, "-batch", "-"], `${lines.join("\n")}\n`);
}

/** One nftables transaction. As an argument: nft 1.0.6 cannot read what Node gives it as standard input. */
export async function nft(namespace: string, text: string): Promise<string> {
  return must(["ip", "netns", "exec", namespace, "nft", text]);
}

/** The commands that make a cable, those for either end of it, and nftables' at the router. */
export interface Cable {
  readonly between: readonly string[];
  readonly here: readonly string[];
  readonly there: readonly string[];
  readonly sources: readonly string[];
}

/** By one shell for all: starting four programs takes the lab longer than what they do, and it lays twenty cables. */
export async function layCable(router: string, host: string, cable: Cable): Promise<void> {
  const lines = (commands: readonly string[]) => `${commands.join("\n")}\n`;
  const { here, there, sources } = cable;
  insist(await lay([router, host, lines(cable.between), lines(here), lines(there), sources.join("; ")]));
}

const lay = commandRunner([
  "sh",
  "-c",
  `set -e
  printf %s "$3" | ip -batch -
  printf %s "$4" | ip -n "$1" -batch -
  printf %s "$5" | ip -n "$2" -batch -
  ip netns exec "$1" nft "$6"`,
  "cable",
]);
