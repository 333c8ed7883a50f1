import { failureEntry, isFailureCode } from "../protocol/failures.ts";
import { list } from "../protocol/node/table.ts";
import { exitCodes, timestamp } from "../protocol/node/text.ts";
import type { Wants } from "./core/attachment.ts";
import type { SavedState } from "./core/saved.ts";

/** What is on disk about this device: what it was told last, whether or not it runs now. */
export function statusText(state: SavedState, wants: Wants): string {
  const { standing, hold, refusal } = state;
  const pairs: [string, string][] = [];
  if (standing.is === "member" && standing.as !== undefined) {
    pairs.push(["device", standing.as.device], ["user", standing.as.user], ["group", standing.as.group]);
  } else {
    pairs.push(["device", standing.is === "member" ? "joined" : "not joined"]);
  }
  switch (hold.is) {
    case "nothing":
      pairs.push(["attachment", wants === "detached" ? "none, logged out" : "none"]);
      break;
    case "waiting":
      pairs.push(["attachment", `none since ${timestamp(hold.sinceMs)}: ${explained(hold.code)}`]);
      break;
    case "attached": {
      const { to } = hold;
      pairs.push(
        ["attachment", `${to.instance} since ${timestamp(hold.sinceMs)}`],
        ["addresses", [to.ipv4, to.ipv6].filter((address) => address !== undefined).join(" ")],
        ["endpoint", to.endpoint],
        ["session", `${to.session} epoch ${to.epoch}`],
        ["dns", Object.values(to.dns).join(" ")],
      );
      break;
    }
  }
  if (refusal !== undefined) {
    pairs.push(["refused", `${timestamp(refusal.atMs)} ${explained(refusal.code)}`]);
  }
  return list(pairs);
}

/** Fine when the device is where its user wants it. */
export function statusExitCode(state: SavedState, wants: Wants): number {
  const isAttached = state.hold.is === "attached";
  return isAttached === (wants === "attached") ? exitCodes.fine : exitCodes.failed;
}

function explained(code: string): string {
  if (!isFailureCode(code)) return code;
  const { summary, hint } = failureEntry(code);
  return `${code}\n${summary}.\n${hint}`;
}
