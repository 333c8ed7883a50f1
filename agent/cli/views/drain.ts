import { exitCodes, printable } from "../../../protocol/node/text.ts";
import type { StatusView } from "../../../protocol/view.ts";
import { type Page, paragraph, type Report } from "../page.ts";
import { conditionTexts } from "./status.ts";

/** What a drain or its end led to. Degraded: asked to take sessions again, but something else still drains. */
export function drainReport(asked: "drain" | "resume", status: StatusView): Report {
  const stillDraining = asked === "resume" && status.drain.length > 0;
  return {
    json: status,
    exitCode: stillDraining ? exitCodes.failed : exitCodes.fine,
    text: (page) => `${[outcome(asked, status, page), ...others(status, page)].join("\n\n")}\n`,
  };
}

function outcome(asked: "drain" | "resume", status: StatusView, page: Page): string {
  const name = page.paint("bold", printable(status.name ?? status.managementIp));
  const head = `${name}  ${status.status}`;
  const left = `${status.sessions} session${status.sessions === 1 ? "" : "s"}`;
  const [because, next] =
    status.drain.length > 0
      ? [
          `Takes no new sessions because of ${status.drain.join(", ")}. ${left} here.`,
          asked === "drain"
            ? "`connector resume` takes new sessions again; `connector sessions` shows who is left."
            : reasonHints(status),
        ]
      : [
          `No reason to drain. ${left} here.`,
          status.status === "Active"
            ? "Nothing to do."
            : "`connector status` says what is missing to Active.",
        ];
  return `${head}\n${paragraph(because, page.width, "  ")}\n${paragraph(next, page.width, "  → ")}`;
}

/** `resume` ends a drain by hand only; the others have an owner of their own. */
function reasonHints({ drain }: StatusView): string {
  return drain.map((reason) => `${reason}: ${owners[reason]}.`).join(" ");
}

const owners = {
  cli: "run `connector resume` again",
  admin: "an administrator ends it in the controller",
  shutdown: "the agent is stopping",
  spot: "AWS takes the spot instance back",
  rebalance: "AWS recommends to replace this instance",
  autoscaling: "the Auto Scaling group terminates this instance",
} as const satisfies Record<StatusView["drain"][number], string>;

function others(status: StatusView, page: Page): string[] {
  const conditions = status.conditions.filter(({ severity }) => severity !== "info");
  return conditionTexts({ conditions, nowMs: status.nowMs }, page);
}
