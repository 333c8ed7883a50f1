import { list } from "../../../protocol/node/table.ts";
import { duration, exitCodes, printable, timestamp } from "../../../protocol/node/text.ts";
import type { Condition, LinkView, StatusView } from "../../../protocol/view.ts";
import { type Page, paragraph, type Report, type Style } from "../page.ts";
import { poolTable } from "./pools.ts";

/** How the instance is, why, and what to do next. Degraded: not Active, or a condition worse than `info`. */
export function statusReport(status: StatusView): Report {
  return {
    json: status,
    exitCode: isDegraded(status) ? exitCodes.failed : exitCodes.fine,
    text: (page) => statusText(status, page),
  };
}

export function isDegraded(status: StatusView): boolean {
  return status.status !== "Active" || status.conditions.some(({ severity }) => severity !== "info");
}

export function statusText(status: StatusView, page: Page): string {
  const name = printable(status.name ?? status.instanceId ?? status.managementIp);
  const up = duration(status.nowMs - status.upSinceMs);
  const sections = [
    `${page.paint("bold", name)}  ${page.paint(statusStyle(status), status.status)}  up ${up}`,
    facts(status),
    ...(status.pools.length === 0 ? [] : [poolTable(status.pools, page)]),
    ...conditionTexts(status, page),
    nextStep(status, page),
  ];
  return `${sections.join("\n\n")}\n`;
}

/** One paragraph for each condition, the worst first. */
export function conditionTexts(status: Pick<StatusView, "conditions" | "nowMs">, page: Page): string[] {
  return status.conditions
    .toSorted((a, b) => ranks[a.severity] - ranks[b.severity] || a.sinceMs - b.sinceMs)
    .map((condition) => {
      const { severity, code, subject, sinceMs, text, hint } = condition;
      const about = subject === undefined ? "" : ` ${printable(subject)}`;
      const head = `${page.paint(severityStyles[severity], severity)} ${printable(code)}${about}, for ${duration(status.nowMs - sinceMs)}`;
      return [
        head,
        paragraph(printable(text), page.width, "  "),
        paragraph(printable(hint), page.width, "  → "),
      ].join("\n");
    });
}

const ranks = { error: 0, warning: 1, info: 2 } as const satisfies Record<Condition["severity"], number>;
const severityStyles = { error: "red", warning: "yellow", info: "bold" } as const satisfies Record<
  Condition["severity"],
  Style
>;

function statusStyle({ status }: StatusView): Style {
  switch (status) {
    case "Active":
      return "green";
    case "Online":
    case "Draining":
      return "yellow";
    case "Configured":
    case "Offline":
      return "red";
  }
}

function facts(status: StatusView): string {
  const { nowMs, prefixesReadAtMs, activeAgents } = status;
  const read =
    prefixesReadAtMs === undefined ? "not read yet" : `read ${duration(nowMs - prefixesReadAtMs)} ago`;
  return list([
    ["Controller", `${status.controller}\n${linkText(status.link, nowMs)}`],
    ["Connector", status.connector ?? "not enrolled"],
    ["Instance", status.instanceId ?? "unknown"],
    ["Address", `${status.managementIp}, gateway ${status.gateway}`],
    ["Sessions", `${status.sessions}, ${activeAgents} active ${activeAgents === 1 ? "device" : "devices"}`],
    ["Prefixes", read],
    ["Version", status.version],
    ...(status.drain.length === 0 ? [] : [["Draining", drainText(status)] as const]),
  ]);
}

/** Why, since when and until when, and how far it has come. */
export function drainText({ drain, draining, departure, sessions, nowMs }: StatusView): string {
  // An older version wrote down no time.
  const sinceMs = draining?.sinceMs || nowMs;
  const forText = nowMs - sinceMs < 1_000 ? "" : `, for ${duration(nowMs - sinceMs)}`;
  const most = Math.max(sessions, draining?.sessionsMost ?? 0);
  const left = most > sessions ? `${sessions} of ${most} sessions` : counted(sessions);
  // Who has left waits for nothing any more.
  const end = departure?.state === "left" ? "" : endText(draining?.untilMs, sessions, nowMs);
  return [
    `because of ${drain.join(", ")}${forText}`,
    `${left} left${end}`,
    ...departureText(departure, nowMs),
  ].join("\n");
}

function departureText(departure: StatusView["departure"], nowMs: number): string[] {
  switch (departure?.state) {
    case undefined:
      return [];
    case "leaving":
      return [`says goodbye in ${duration(Math.max(0, departure.untilMs - nowMs))} at the latest`];
    case "left":
      return [
        `left the group ${duration(nowMs - departure.atMs)} ago, with ${counted(departure.sessions)} here`,
      ];
  }
}

export function counted(sessions: number): string {
  return `${sessions} session${sessions === 1 ? "" : "s"}`;
}

function endText(untilMs: number | undefined, sessions: number, nowMs: number): string {
  if (untilMs === undefined) return "";
  if (untilMs > nowMs) return `, until ${timestamp(untilMs)} (${duration(untilMs - nowMs)})`;
  return sessions === 0 ? "" : `, was to be done ${duration(nowMs - untilMs)} ago`;
}

function linkText(link: LinkView, nowMs: number): string {
  switch (link.state) {
    case "up":
      return `connected for ${duration(nowMs - link.sinceMs)}`;
    case "connecting":
      return "connecting";
    case "waiting":
      return `not connected (${link.code}), tries again in ${duration(link.retryInMs)}`;
    case "stopped":
      return link.code === undefined ? "stopped" : `stopped (${link.code})`;
  }
}

function nextStep(status: StatusView, page: Page): string {
  return paragraph(next(status), page.width, "Next: ");
}

function next({ status, conditions, drain, departure }: StatusView): string {
  if (departure?.state === "left")
    return "it has left the group; start the agent again to bring it back (`systemctl restart connector`).";
  const prefixWrong = conditions.some(
    ({ code, severity }) => severity !== "info" && /^(prefix|pool)\./.test(code),
  );
  switch (status) {
    case "Configured":
      return conditions.some(({ severity }) => severity !== "info")
        ? "follow the arrows above, first things first; `connector check` walks the whole way."
        : "enrol it: `connector check` tells what is missing.";
    case "Offline":
      return "`connector check` finds out where the way to the controller ends. Connected users are not affected.";
    case "Online":
      return prefixWrong
        ? "`connector prefixes` compares the controller, AWS and the kernel, and says what to change."
        : "see the conditions above; `connector check` looks at the host.";
    case "Draining":
      return drain.includes("cli")
        ? "`connector sessions` shows who is left, `connector resume` takes new sessions again."
        : "`connector sessions` shows who is left.";
    case "Active":
      if (prefixWrong) return "`connector prefixes` and `connector pools` show what needs attention.";
      return conditions.some(({ severity }) => severity !== "info")
        ? "follow the arrows above."
        : "nothing to do.";
  }
}
