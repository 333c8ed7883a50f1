import type { InstanceStatus } from "../../protocol/view.ts";
import type { CoreSettings } from "./settings.ts";
import type { Words } from "./tally.ts";
import type { Said } from "./witnesses.ts";

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
  /** It is its turn in a rolling restart. */
  readonly isRestarting: boolean;
  /** Its own word on its last link. */
  readonly status: InstanceStatus | undefined;
  /** What devices say that are here to say so. */
  readonly said: Said;
  /** Its devices condemned it; until then it is not believed to be well. */
  readonly heldDownUntilMs: number;
}

/** `failover`: in active-standby the other one carries instead, because somebody asked for that. */
export type LeavingWhy = "administrator" | "restart" | "instance" | "failover";
export type GoneWhy = "goodbye" | "link-lost" | "devices";

export type Verdict =
  | { readonly is: "serving" }
  /** It still forwards, and is to be empty soon. */
  | { readonly is: "leaving"; readonly why: LeavingWhy }
  | { readonly is: "gone"; readonly why: GoneWhy };

export const serving: Verdict = { is: "serving" };

export function judge(evidence: Evidence, settings: JudgeSettings, nowMs: number): Verdict {
  const { link, isDrained, isRestarting, status } = evidence;
  if (link.is === "goodbye") return { is: "gone", why: "goodbye" };
  if (isCondemned(evidence, settings) || nowMs < evidence.heldDownUntilMs)
    return { is: "gone", why: "devices" };
  // Before the link: who is to be moved is moved also from an instance that forwards on under a dead agent.
  if (isDrained) return { is: "leaving", why: "administrator" };
  if (isRestarting) return { is: "leaving", why: "restart" };
  if (status === "Draining") return { is: "leaving", why: "instance" };
  if (link.is === "lost" && nowMs >= link.sinceMs + link.graceMs) return { is: "gone", why: "link-lost" };
  return serving;
}

export type JudgeSettings = Pick<CoreSettings, "witnessesMin">;

/**
 * Its devices say that its data path is dead, and not more people or networks that it is alive. One is enough when its
 * link is lost too. Against a living agent it takes several people who knew its path alive, and proof that it is not the
 * network that they share: one of their number that is well elsewhere, or another network. What a device says that never
 * had a path is its own trouble: it is moved by itself.
 */
export function isCondemned({ link, said }: Evidence, { witnessesMin }: JudgeSettings): boolean {
  const { alive, dead, turned, isNetworkWell } = said;
  if (link.is !== "up") return dead.devices > 0 && isMost(dead, alive);
  const isProven = turned.networks > 1 || isNetworkWell;
  return turned.users >= witnessesMin && isMost(turned, alive) && isProven;
}

function isMost(some: Words, others: Words): boolean {
  return some.users >= others.users && some.networks >= others.networks;
}

/** When the same evidence may lead to another verdict; undefined: never. */
export function judgeAgainAtMs({ link, heldDownUntilMs }: Evidence, nowMs: number): number | undefined {
  const times = [heldDownUntilMs, link.is === "lost" ? link.sinceMs + link.graceMs : 0];
  const later = times.filter((atMs) => atMs > nowMs);
  return later.length === 0 ? undefined : Math.min(...later);
}

/**
 * What a session's device says of its path. `lasting`: it has said dead for long enough for a move of its own. `silent`:
 * it is here, and says nothing of paths at all. `unheard`: it has said nothing that counts and may yet, because it is here
 * too briefly, its heartbeat is overdue, or its probe is still finding out. `away`: no link.
 */
export type Testimony = "alive" | "dead" | "lasting" | "silent" | "unheard" | "away";

/** `overlap`: the old place serves on until the device has left it. */
export type Fate = "stay" | "move" | "overlap";

/**
 * Why a session changes its instance: by the evidence; `failover` by command; because the instance refused or ended it; its
 * range was taken away, the instance removed; or its device held what a newer database than this one had told it.
 */
export type MoveReason =
  | ("drain" | "goodbye" | "link-lost" | "devices" | "path-dead")
  | ("failover" | "refused" | "ended" | "range" | "removed" | "claimed");

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
    case "unheard":
    case "away":
      return "stay";
  }
}

/** A session that was asked for there and not granted yet: nothing is lost by asking elsewhere. */
export function fateOfPlaced(verdict: Verdict): Fate {
  return verdict.is === "serving" ? "stay" : "move";
}

/** Whether sessions may be placed there. `doubted`: devices say that it serves nobody, and it may be wrong by now. */
export type Trust = "open" | "doubted" | "closed";

export function trustIn(verdict: Verdict): Trust {
  switch (verdict.is) {
    case "serving":
      return "open";
    case "leaving":
      return "closed";
    case "gone":
      return verdict.why === "devices" ? "doubted" : "closed";
  }
}

export function reasonOf(verdict: Verdict): MoveReason {
  switch (verdict.is) {
    case "serving":
      return "path-dead";
    case "leaving":
      return verdict.why === "failover" ? "failover" : "drain";
    case "gone":
      return verdict.why;
  }
}
