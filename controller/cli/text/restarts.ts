import { list } from "../../../protocol/node/table.ts";
import { timestamp } from "../../../protocol/node/text.ts";
import type { RestartStepView, RestartSummary, RestartView, RestartWhy } from "../../core/restart-views.ts";

const reasons = {
  offline: "it is Offline",
  drained: "an administrator drains it",
  draining: "it drains by itself",
  "not-active": "it is not Active",
  condemned: "condemned by its devices",
  unable: "its agent is too old",
  removed: "it was removed",
  "no-room": "no room for its sessions",
  "not-emptied": "devices did not come over",
  "not-ended": "its agent did not end",
  "not-returned": "it did not come back",
  "too-few-active": "too few others are Active",
} as const satisfies Record<RestartWhy, string>;

/** `stopped at aws-us-vir-con-00002: it did not come back`, and how many it has done: on a line of its own. */
export function restartLines({ state, at, why, restarted, instances }: RestartSummary): string {
  const where = at === null ? "" : ` at ${at}`;
  return `${state}${where}${why === null ? "" : `: ${reasons[why]}`}\n${restarted} of ${instances} restarted`;
}

export function restartText(restart: RestartView): string {
  const { connector, state, startedAtMs, startedBy, endedAtMs, endedBy, minActive } = restart;
  const facts = list([
    ["Restart of", connector],
    ["State", `${state}, ${restart.restarted} of ${restart.instances} restarted`],
    ["Started", `${timestamp(startedAtMs)} by ${startedBy}`],
    ...(endedAtMs === null ? [] : [["Ended", `${timestamp(endedAtMs)} by ${endedBy ?? "-"}`] as const]),
    ["Stay Active", minActive === 0 ? "none need to" : `${minActive} at least`],
  ]);
  const steps = list(restart.steps.map((step) => [step.instance, stepText(step)] as const));
  return [facts, steps, `→ ${nextOf(restart)}`].join("\n\n");
}

/** One step, on as many lines as it has things to say. */
export function stepText(step: RestartStepView): string {
  const { state, why, sinceMs, untilMs } = step;
  const since = sinceMs === null ? "" : ` since ${timestamp(sinceMs)}`;
  switch (state) {
    case "queued":
      return "queued";
    case "untouched":
      return "untouched";
    case "skipped":
    case "stopped":
      return `${state}: ${why === null ? "-" : reasons[why]}`;
    case "restarted":
    case "cancelled":
      return `${state} ${timestamp(sinceMs ?? undefined)}`;
    case "draining":
      return [`draining${since}`, leftOf(step), ...stopsAt(untilMs)].join("\n");
    case "restarting":
      return [`restarting${since}`, ...stopsAt(untilMs)].join("\n");
  }
}

/** What a step is at now, short enough for a time before it: `aws-us-vir-con-00002  draining, 4 left, 1 no place`. */
export function progressLine({ instance, state, why, left, withoutPlace }: RestartStepView): string {
  const stuck = withoutPlace ? `, ${withoutPlace} no place` : "";
  const more = left === null ? "" : `, ${left} left${stuck}`;
  return `${instance}  ${state}${more}${why === null ? "" : `: ${reasons[why]}`}`;
}

/** What to do about it. */
export function nextOf({ state, why, connector }: RestartView): string {
  switch (state) {
    case "running":
      return `connector-controller connector restart ${connector} --show --wait`;
    case "done":
      return "Nothing to do.";
    case "cancelled":
      return `Begin anew: connector-controller connector restart ${connector}`;
    case "stopped":
      return `${why === null ? "Look at it" : remedies[why]}, then begin anew.`;
  }
}

const onInstance = "Look on the instance: connector status";
const remedies = {
  ...{ offline: onInstance, drained: onInstance, draining: onInstance, condemned: onInstance },
  ...{ unable: onInstance, removed: onInstance, "not-active": onInstance },
  ...{ "not-ended": onInstance, "not-returned": onInstance },
  "no-room": "Add prefixes to other instances' pools, or an instance",
  "not-emptied": "See who is left (session list --instance)",
  "too-few-active": "See who is missing (instance list), or give --min-active",
} as const satisfies Record<RestartWhy, string>;

function leftOf({ left, withoutPlace }: RestartStepView): string {
  const stuck = withoutPlace ? `, ${withoutPlace} without another place` : "";
  return left === 0 ? "nobody is left" : `${left} session${left === 1 ? "" : "s"} left${stuck}`;
}

function stopsAt(untilMs: number | null): string[] {
  return untilMs === null ? [] : [`the restart stops here at ${timestamp(untilMs)}`];
}
