import { setTimeout as sleep } from "node:timers/promises";
import { type Result, success } from "../../protocol/failures.ts";
import { exitCodes } from "../../protocol/node/text.ts";
import type { World } from "../../protocol/node/world.ts";
import type { Answer, Asked } from "../api/endpoints.ts";
import { type AskOptions, refuse } from "./ask.ts";
import type { ControllerClient } from "./client.ts";
import { auditLine } from "./text/access.ts";

type Query = Asked<"audit.list">["query"];
type Entry = Answer<"audit.list">["items"][number];

const everyMs = 1000;

/** Prints the newest entries, then every further one as it comes, oldest first, until Ctrl-C. */
export async function follow(
  world: World,
  options: AskOptions,
  client: ControllerClient,
  query: Query,
): Promise<number> {
  let last = 0;
  let entries = await client.call("audit.list", { query });
  if (!entries.ok) return refuse(world, options, entries.failure);
  let isDown = false;
  while (!world.stop.aborted) {
    if (entries.ok) {
      isDown = false;
      for (const entry of entries.value.items.toReversed()) {
        world.print(`${options.output === "json" ? JSON.stringify(entry) : auditLine(entry)}\n`);
        last = Math.max(last, entry.id);
      }
    } else if (!isDown) {
      isDown = true;
      world.complain(`connector-controller: ${entries.failure.message}; trying again\n`);
    }
    await sleep(everyMs, undefined, { signal: world.stop }).catch(() => undefined);
    if (!world.stop.aborted) entries = await newer(client, query, last);
  }
  return exitCodes.fine;
}

/** All entries after one that was seen, newest first: as many pages as that takes. */
async function newer(
  client: ControllerClient,
  query: Query,
  last: number,
): Promise<Result<{ items: Entry[]; next: string | null }>> {
  const items: Entry[] = [];
  let before: string | undefined;
  for (;;) {
    const page = await client.call("audit.list", { query: { ...query, before } });
    if (!page.ok) return page;
    const { items: found, next } = page.value;
    items.push(...found.filter(({ id }) => id > last));
    if (next === null || Number(next) <= last + 1) return success({ items, next: null });
    before = next;
  }
}
