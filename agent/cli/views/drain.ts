import { exitCodes, printable } from "../../../protocol/node/text.ts";
import type { StatusView } from "../../../protocol/view.ts";
import { type Page, paragraph, type Report } from "../page.ts";
import { conditionTexts, counted, drainText } from "./status.ts";

export type Asked = "drain" | "resume" | "leave";

/** Whether what was asked for is so: for `resume`, and for who waits for a drain or a departure. */
export function isDone(asked: Asked, { drain, sessions, departure }: StatusView): boolean {
  switch (asked) {
    case "drain":
      return sessions === 0;
    case "resume":
      return drain.length === 0;
    case "leave":
      return departure?.state === "left" && departure.sessions === 0;
  }
}

/** What a drain, its end, or a departure led to. `hasWaited`: it is told whether it came to an end, too. */
export function drainReport(asked: Asked, status: StatusView, hasWaited = false): Report {
  const isJudged = asked === "resume" || hasWaited;
  return {
    json: status,
    exitCode: isJudged && !isDone(asked, status) ? exitCodes.failed : exitCodes.fine,
    text: (page) => `${[outcome(asked, status, page), ...others(status, page)].join("\n\n")}\n`,
  };
}

function outcome(asked: Asked, status: StatusView, page: Page): string {
  const name = page.paint("bold", printable(status.name ?? status.managementIp));
  const head = `${name}  ${status.status}`;
  const indented = (text: string) =>
    text
      .split("\n")
      .map((line) => paragraph(line, page.width, "  "))
      .join("\n");
  if (status.drain.length > 0) {
    const because = indented(`Takes no new sessions ${drainText(status)}`);
    return `${head}\n${because}\n${paragraph(nextStep(asked, status), page.width, "  → ")}`;
  }
  const next =
    status.status === "Active" ? "Nothing to do." : "`connector status` says what is missing to Active.";
  return `${head}\n${indented(`No reason to drain. ${counted(status.sessions)} here.`)}\n${paragraph(next, page.width, "  → ")}`;
}

function nextStep(asked: Asked, status: StatusView): string {
  switch (asked) {
    case "drain":
      return "`connector resume` takes new sessions again; `connector sessions` shows who is left.";
    case "resume":
      return reasonHints(status);
    case "leave":
      return status.departure?.state === "left"
        ? "Start the agent again to bring the instance back: `systemctl restart connector`."
        : "`connector status` shows how far it is. A new start of the agent takes it back.";
  }
}

/** `resume` ends a drain by hand only; the others have an owner of their own. */
function reasonHints({ drain }: StatusView): string {
  return drain.map((reason) => `${reason}: ${owners[reason]}.`).join(" ");
}

const owners = {
  cli: "run `connector resume` again",
  admin: "an administrator ends it in the controller",
  restart: "the controller restarts the instances of the connector one by one",
  shutdown: "the instance leaves the group; a new start of the agent brings it back",
  spot: "AWS takes the spot instance back",
  rebalance: "AWS recommends to replace this instance",
  autoscaling: "the Auto Scaling group takes this instance out of service",
} as const satisfies Record<StatusView["drain"][number], string>;

function others(status: StatusView, page: Page): string[] {
  const conditions = status.conditions.filter(({ severity }) => severity !== "info");
  return conditionTexts({ conditions, nowMs: status.nowMs }, page);
}
