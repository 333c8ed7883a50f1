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
