import { failureEntry, isFailureCode } from "../../protocol/failures.ts";
import type { Logger } from "../../protocol/node/log.ts";
import type { DeviceEvent } from "../core/effects.ts";
import type { Hold } from "../core/saved.ts";

/** Writes what happens to the device as log lines: constant text, values as fields. */
export function logEvent(log: Logger, event: DeviceEvent): void {
  switch (event.is) {
    case "linked":
      log.info("linked to the controller");
      return;
    case "waiting":
      log.warn(
        { ...explained(event.why), retryInMs: Math.round(event.retryInMs) },
        "no link, dialling again",
      );
      return;
    case "stopped":
      log.warn(explained(event.why), "stopped until what was refused changes");
      return;
    case "joined":
      log.info(event.as, "joined");
      return;
    case "hold":
      logHold(log, event.hold, event.before);
      return;
    case "older":
      log.warn(
        { session: event.said.session, epoch: event.said.epoch, heldEpoch: event.heldEpoch },
        "ignored an attachment from before the last move",
      );
      return;
    case "unsaved":
      log.error(explained(event.why), "the state is not on disk");
      return;
  }
}

function logHold(log: Logger, hold: Hold, before: Hold): void {
  switch (hold.is) {
    case "nothing":
      log.info("detached");
      return;
    case "waiting":
      log.warn(explained(hold.code), "waiting for an instance");
      return;
    case "attached": {
      const { session, epoch, instance, endpoint, ipv4, ipv6 } = hold.to;
      const hasMoved = before.is === "attached" && before.to.instance !== instance;
      log.info({ session, epoch, instance, endpoint, ipv4, ipv6 }, hasMoved ? "moved" : "attached");
      return;
    }
  }
}

/** A newer controller may say codes that are not in our catalogue. */
function explained(code: string): { code: string; summary?: string; hint?: string } {
  if (!isFailureCode(code)) return { code };
  const { summary, hint } = failureEntry(code);
  return { code, summary, hint };
}
