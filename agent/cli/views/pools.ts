import { failureEntry } from "../../../protocol/failures.ts";
import { table } from "../../../protocol/node/table.ts";
import { duration, exitCodes, printable } from "../../../protocol/node/text.ts";
import type { PoolView } from "../../../protocol/view.ts";
import { type Page, paragraph, type Report } from "../page.ts";

/** The pools and how full they are. Degraded: one has no free address, or a range that AWS does not route here. */
export function poolsReport(pools: readonly PoolView[], only: string | undefined): Report {
  const shown = pools
    .filter(({ name }) => only === undefined || name === only)
    .toSorted((a, b) => a.name.localeCompare(b.name, "en", { numeric: true }));
  return {
    json: shown,
    exitCode:
      shown.length === 0 || shown.some((pool) => notesOn(pool).length > 0)
        ? exitCodes.failed
        : exitCodes.fine,
    text: (page) => poolsText(shown, only, page),
  };
}

export function poolTable(pools: readonly PoolView[], page: Page): string {
  return table(
    [
      { title: "Pool", max: 14 },
      { title: "Group", max: 14 },
      { title: "Lease", align: "right" },
      { title: "Total", align: "right" },
      { title: "Leased", align: "right" },
      { title: "Cooling", align: "right" },
      { title: "Quarantined", align: "right" },
      { title: "Free", align: "right" },
    ],
    pools.map((pool) => [
      pool.name,
      pool.group,
      duration(pool.leaseMinutes * 60_000),
      ...[pool.total, pool.leased, pool.cooling, pool.quarantined, pool.free].map(String),
    ]),
    page.width,
  );
}

function poolsText(pools: readonly PoolView[], only: string | undefined, page: Page): string {
  if (pools.length === 0) {
    if (only !== undefined) return `No pool ${printable(only)} on this instance.\n`;
    const { summary, hint } = failureEntry("pool.none");
    return `${summary}.\n${paragraph(hint, page.width, "  → ")}\n`;
  }
  const notes = pools.flatMap(notesOn).map(({ text, action }) => {
    return `${paragraph(printable(text), page.width)}\n${paragraph(action, page.width, "  → ")}`;
  });
  return `${[poolTable(pools, page), ...notes].join("\n\n")}\n`;
}

/** What needs attention in a pool. */
function notesOn({ name, total, free, quarantined, ranges }: PoolView): { text: string; action: string }[] {
  const compare = "`connector prefixes` says what to change.";
  const notes = ranges
    .filter(({ verified }) => !verified)
    .map(({ prefix }) => ({
      text: `${name}: ${prefix} is not verified, nothing is leased from it.`,
      action: compare,
    }));
  if (quarantined > 0) {
    notes.push({
      text: `${name}: ${quarantined} addresses are in a prefix that AWS no longer routes here.`,
      action: compare,
    });
  } else if (total > 0 && free === 0) {
    const text = `${name} has no free address; new sessions go to other instances.`;
    notes.push({ text, action: failureEntry("pool.full").hint });
  }
  return notes;
}
