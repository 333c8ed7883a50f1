import type { Family } from "../../protocol/address.ts";
import { type Result, success } from "../../protocol/failures.ts";
import type { Run } from "../../protocol/node/command.ts";
import { deletionsOf, type Filter } from "../core/connections.ts";

/** At most so many run at once: each reads the whole table of connections. */
const atOnce = 2;
/** 262,144 connections are read in about a second. */
const timeoutMs = 10_000;
/** Up to so many addresses of a family are not worth a listing. */
const fewMax = 2;

const familyName = { 4: "ipv4", 6: "ipv6" } as const;

/**
 * Makes the kernel forget every connection from and to these addresses, so that none passes as known when the address
 * is somebody else's. Answers with the first failure, after having tried everything.
 */
export async function forgetConnections(run: Run, addresses: readonly string[]): Promise<Result<void>> {
  const ipv6 = addresses.filter((address) => address.includes(":"));
  const ipv4 = addresses.filter((address) => !address.includes(":"));
  const done = [await forgetFamily(run, 4, ipv4), await forgetFamily(run, 6, ipv6)];
  return done.find(({ ok }) => !ok) ?? success(undefined);
}

async function forgetFamily(run: Run, family: Family, addresses: readonly string[]): Promise<Result<void>> {
  const filters = await filtersOf(run, family, addresses);
  const waiting = filters.map(({ side, prefix }) => [
    "conntrack",
    "-D",
    "-f",
    familyName[family],
    side,
    prefix,
  ]);
  let first: Result<void> = success(undefined);
  const workers = Array.from({ length: atOnce }, async () => {
    for (let command = waiting.shift(); command !== undefined; command = waiting.shift()) {
      const done = await run(command, { timeoutMs });
      if (!done.ok && !hadNone(done.failure.facts.error) && first.ok) first = done;
    }
  });
  await Promise.all(workers);
  return first;
}

/** A listing that fails costs time and nothing else. */
async function filtersOf(run: Run, family: Family, addresses: readonly string[]): Promise<Filter[]> {
  if (addresses.length > fewMax) {
    const listing = await run(["conntrack", "-L", "-f", familyName[family]], { timeoutMs });
    if (listing.ok) return deletionsOf(family, addresses, listing.value);
  }
  return addresses.flatMap((prefix) => [
    { side: "--orig-src", prefix },
    { side: "--orig-dst", prefix },
  ]);
}

/** It ends with 1 when there was nothing to delete, as when it failed: only its words tell. */
function hadNone(error: unknown): boolean {
  return /\b0 flow entries have been deleted/.test(String(error));
}
