import type { Instant } from "../../protocol/time.ts";
import type { Judge } from "./judge.ts";
import type { Model } from "./model.ts";
import type { JudgementView } from "./views.ts";

/** What the controller thinks of an instance, why, and what that means for its sessions. */
export function judgementView(id: string, model: Model, judge: Judge, now: Instant): JudgementView {
  const standing = judge.standingOf(id);
  const verdict = judge.verdictOf(id);
  const { alive, dead } = judge.witnesses.of(id);
  const isServing = verdict.is === "serving";
  const isRelieved = verdict.is === "leaving" && verdict.why === "failover";
  const connector = model.instances.get(id)?.connector;
  const carrier = isRelieved && connector !== undefined ? model.carriers.get(connector) : undefined;
  return {
    is: verdict.is,
    why: "why" in verdict ? verdict.why : null,
    sinceMs: isServing ? null : (carrier?.sinceMs ?? standing?.since.wallMs ?? null),
    devicesAlive: alive.devices,
    devicesDead: dead.devices,
    moved: isServing ? 0 : (standing?.moved ?? 0),
    leaving: model.leavingFrom(id).size,
    waiting: sessionsWithoutPlace(id, model, judge, now),
  };
}

/** Sessions that should be elsewhere and have found no other place. Looks at all of them, so only for who is not serving. */
export function sessionsWithoutPlace(id: string, model: Model, judge: Judge, now: Instant): number {
  if (judge.verdictOf(id).is === "serving") return 0;
  let count = 0;
  for (const key of model.sessionsOn(id)) {
    const session = model.sessions.get(key);
    if (session?.leaving === null && judge.fateOf(session, now) !== "stay") count += 1;
  }
  return count;
}
