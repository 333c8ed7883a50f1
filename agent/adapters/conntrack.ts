import { type Result, success } from "../../protocol/failures.ts";
import type { Run } from "../../protocol/node/command.ts";

/** At most so many run at once: each reads the whole table of connections. */
const atOnce = 2;
/** 262,144 connections are read in about half a second. */
const timeoutMs = 10_000;

/**
 * Makes the kernel forget every connection from and to these addresses, so that none passes as established when the
 * address is somebody else's. Answers with the first failure, after having tried them all.
 */
export async function forgetConnections(run: Run, addresses: readonly string[]): Promise<Result<void>> {
  const commands = addresses.flatMap((address) => {
    const family = address.includes(":") ? "ipv6" : "ipv4";
    return ["--orig-src", "--orig-dst"].map((side) => ["conntrack", "-D", "-f", family, side, address]);
  });
  let first: Result<void> = success(undefined);
  const workers = Array.from({ length: atOnce }, async () => {
    for (let command = commands.shift(); command !== undefined; command = commands.shift()) {
      const done = await run(command, { timeoutMs });
      if (!done.ok && !hadNone(done.failure.facts.error) && first.ok) first = done;
    }
  });
  await Promise.all(workers);
  return first;
}

/** It ends with 1 when there was nothing to delete, as when it failed: only its words tell. */
function hadNone(error: unknown): boolean {
  return /\b0 flow entries have been deleted/.test(String(error));
}
