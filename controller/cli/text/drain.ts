import { timestamp } from "../../../protocol/node/text.ts";
import type { DrainView } from "../../core/restart-views.ts";

/** `12 left: 3 coming over, 2 without another place`. */
export function leftText({ left, comingOver, withoutPlace }: DrainView): string {
  if (left === 0) return "nobody is left";
  const parts = [
    ...(comingOver === 0 ? [] : [`${comingOver} coming over`]),
    ...(withoutPlace === 0 ? [] : [`${withoutPlace} without another place`]),
  ];
  return parts.length === 0 ? `${left} left` : `${left} left: ${parts.join(", ")}`;
}

/** For lists: two lines. */
export function drainLines(drain: DrainView): string {
  const { reasons, sinceMs, moved } = drain;
  return `draining since ${timestamp(sinceMs)} (${reasons.join(", ")})\n  ${leftText(drain)}; ${moved} moved`;
}

export function drainText(drain: DrainView): string {
  const { reasons, sinceMs, untilMs, moved, comingOverUntilMs } = drain;
  return [
    `because of ${reasons.join(", ")}, since ${timestamp(sinceMs)}`,
    `${leftText(drain)}; ${moved} moved`,
    ...(comingOverUntilMs === null ? [] : [`who is coming over has until ${timestamp(comingOverUntilMs)}`]),
    ...(untilMs === null ? [] : [`to be done by ${timestamp(untilMs)}`]),
  ].join("\n");
}
