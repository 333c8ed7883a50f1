import { Failure } from "../../protocol/failures.ts";
import type { Logger } from "../../protocol/node/log.ts";
import type { Saved, Store } from "../core/ports.ts";

/**
 * Opens the database of one agent. Throws a Failure: `store.locked`, `store.newer`, `store.read-only`, `store.full` or
 * `store.failing`. A damaged file is set aside, and `saved.lostTo` says under which name.
 */
export function openStore(path: string, _options: { log: Logger }): { store: Store; saved: Saved } {
  throw new Failure("store.failing", { path });
}
