import type { Condition, StatusView } from "../../protocol/view.ts";

/** How the instance is, in one line of words without numbers that always change: for `systemctl status`. */
export function statusLine(status: StatusView): string {
  const { name, connector } = status;
  const who = name === undefined ? "" : ` as ${name}${connector === undefined ? "" : ` in ${connector}`}`;
  const { sessions } = status;
  const whom = `${sessions} session${sessions === 1 ? "" : "s"}`;
  return `${status.status}${who}, ${whom}${wayOut(status)}${trouble(status.conditions)}`;
}

function wayOut({ drain, departure }: StatusView): string {
  switch (departure?.state) {
    case "left":
      return "; has left the group";
    case "leaving":
      return `; leaves the group (${departure.reason})`;
    case undefined:
      return drain.length === 0 ? "" : `; drains (${drain.join(", ")})`;
  }
}

/** The worst, and of those the one that is there for longest. */
function trouble(conditions: readonly Condition[]): string {
  const [first, ...more] = conditions
    .filter(({ severity }) => severity !== "info")
    .toSorted((a, b) => ranks[a.severity] - ranks[b.severity] || a.sinceMs - b.sinceMs);
  if (first === undefined) return "";
  return `; ${first.text.replace(/\.$/, "")} [${first.code}]${more.length === 0 ? "" : `, and ${more.length} more`}`;
}

const ranks = { error: 0, warning: 1, info: 2 } as const satisfies Record<Condition["severity"], number>;
