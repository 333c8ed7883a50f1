import type { InstanceStatus } from "../../protocol/view.ts";
import type { CoreSettings } from "./settings.ts";

/**
 * Whether an instance serves its sessions, from evidence, and what that means for each of them. Pure: who keeps the
 * evidence is judge.ts. All times are monotonic.
 */

export type LinkEvidence =
  | { readonly is: "up" }
  /** `graceMs`: how long it has to come back before that alone decides. */
  | { readonly is: "lost"; readonly sinceMs: number; readonly graceMs: number }
  /** It said that it leaves. */
  | { readonly is: "goodbye" };

export interface Evidence {
  readonly link: LinkEvidence;
  /** An administrator drains it. */
  readonly isDrained: boolean;
  /** Its own word on its last link. */
  readonly status: InstanceStatus | undefined;
  /** Devices that are here to say so, each about the session it has there now. */
  readonly alive: number;
  readonly dead: number;
  /** Its devices condemned it; until then it is not believed to be well. */
  readonly heldDownUntilMs: number;
}

export type LeavingWhy = "administrator" | "instance";
export type GoneWhy = "goodbye" | "link-lost" | "devices";

export type Verdict =
  | { readonly is: "serving" }
  /** It still forwards, and is to be empty soon. */
  | { readonly is: "leaving"; readonly why: LeavingWhy }
  | { readonly is: "gone"; readonly why: GoneWhy };

export const serving: Verdict = { is: "serving" };

export function judge(evidence: Evidence, settings: JudgeSettings, nowMs: number): Verdict {
  const { link, isDrained, status } = evidence;
  if (link.is === "goodbye") return { is: "gone", why: "goodbye" };
  if (isCondemned(evidence, settings) || nowMs < evidence.heldDownUntilMs)
    return { is: "gone", why: "devices" };
  // Before the link: who is to be moved is moved also from an instance that forwards on under a dead agent.
  if (isDrained) return { is: "leaving", why: "administrator" };
  if (status === "Draining") return { is: "leaving", why: "instance" };
  if (link.is === "lost" && nowMs >= link.sinceMs + link.graceMs) return { is: "gone", why: "link-lost" };
  return serving;
}

export type JudgeSettings = Pick<CoreSettings, "witnessesMin">;

/**
 * Its devices say that its data path is dead. One is enough when the link is lost too; but never against more who say
 * that theirs is alive, because one device's own network proves nothing.
 */
export function isCondemned({ link, alive, dead }: Evidence, { witnessesMin }: JudgeSettings): boolean {
  const needed = link.is === "up" ? witnessesMin : 1;
  return dead >= needed && dead >= alive;
}

/** When the same evidence may lead to another verdict; undefined: never. */
export function judgeAgainAtMs({ link, heldDownUntilMs }: Evidence, nowMs: number): number | undefined {
  const times = [heldDownUntilMs, link.is === "lost" ? link.sinceMs + link.graceMs : 0];
  const later = times.filter((atMs) => atMs > nowMs);
  return later.length === 0 ? undefined : Math.min(...later);
}

/**
 * What a session's device says of its path. `lasting`: it has said dead for long enough for a move of its own. `silent`:
 * it is here and carries nothing it could speak of. `fresh`: here too briefly to have said anything. `away`: no link.
 */
export type Testimony = "alive" | "dead" | "lasting" | "silent" | "fresh" | "away";

/** `overlap`: the old place serves on until the device has left it. */
export type Fate = "stay" | "move" | "overlap";

export type MoveReason = "drain" | "goodbye" | "link-lost" | "devices" | "path-dead";

/**
 * What becomes of a session that is attached there. Who has a working path keeps it, also under a dead agent; who is away
 * may have one, and is decided when it is back.
 */
export function fateOf(verdict: Verdict, testimony: Testimony): Fate {
  switch (verdict.is) {
    case "serving":
      return testimony === "lasting" ? "move" : "stay";
    case "leaving":
      return testimony === "dead" || testimony === "lasting" ? "move" : "overlap";
    case "gone":
      return verdict.why === "goodbye" ? "move" : fateUnderGone(testimony);
  }
}

function fateUnderGone(testimony: Testimony): Fate {
  switch (testimony) {
    case "dead":
    case "lasting":
    case "silent":
      return "move";
    case "alive":
    case "fresh":
    case "away":
      return "stay";
  }
}

/** A session that was asked for there and not granted yet: nothing is lost by asking elsewhere. */
export function fateOfPlaced(verdict: Verdict): Fate {
  return verdict.is === "serving" ? "stay" : "move";
}

export function reasonOf(verdict: Verdict): MoveReason {
  switch (verdict.is) {
    case "serving":
      return "path-dead";
    case "leaving":
      return "drain";
    case "gone":
      return verdict.why;
  }
}
