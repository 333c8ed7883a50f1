import { failureEntry, isFailureCode } from "../../../protocol/failures.ts";
import { table } from "../../../protocol/node/table.ts";
import { exitCodes, printable } from "../../../protocol/node/text.ts";
import type { PrefixRow } from "../../../protocol/view.ts";
import { type Page, paragraph, type Report } from "../page.ts";

/** What the controller configured, what AWS routes here, what the kernel has. Degraded: a row that is neither ok nor information. */
export function prefixesReport(prefixes: readonly PrefixRow[]): Report {
  const sorted = prefixes.toSorted(
    (a, b) =>
      family(a) - family(b) || order.compare(a.prefix, b.prefix) || order.compare(a.pool ?? "", b.pool ?? ""),
  );
  return {
    json: sorted,
    exitCode: sorted.some(isWrong) ? exitCodes.failed : exitCodes.fine,
    text: (page) => prefixesText(sorted, page),
  };
}

function prefixesText(prefixes: readonly PrefixRow[], page: Page): string {
  if (prefixes.length === 0) {
    const hint =
      "Assign prefixes to the network interface in EC2, and the same ones to a pool of this instance.";
    return `The controller configured no prefix, and AWS assigned none.\n${paragraph(hint, page.width, "  → ")}\n`;
  }
  const diff = table(
    [
      { title: "Prefix" },
      { title: "Controller", max: 12 },
      { title: "IMDS" },
      { title: "Kernel" },
      { title: "Verdict" },
    ],
    prefixes.map(({ prefix, pool, imds, dataPath, verdict }) => [
      prefix,
      pool ?? "-",
      imdsWords[imds],
      dataPathWords[dataPath],
      verdict.replace(/^prefix\./, ""),
    ]),
    page.width,
  );
  const notes = prefixes.filter(({ verdict }) => verdict !== "ok").map((row) => whatToDo(row, page));
  const wrong = prefixes.filter(isWrong).length;
  const sum = wrong > 0 ? `${wrong} of ${prefixes.length} need attention.` : sumOf(prefixes, page);
  return `${[diff, ...notes, sum].join("\n\n")}\n`;
}

/** The kernel follows within a second; what keeps it from that is no prefix's fault. */
function sumOf(prefixes: readonly PrefixRow[], page: Page): string {
  if (!prefixes.some(({ verdict, dataPath }) => verdict === "ok" && dataPath !== "routed"))
    return "Nothing to do.";
  return paragraph(
    "Nothing to do here. What the kernel does not have yet is on its way: if it stays so, `connector status` says why.",
    page.width,
  );
}

function whatToDo({ prefix, verdict }: PrefixRow, page: Page): string {
  const head = `${printable(prefix)}  ${printable(verdict)}`;
  if (!isFailureCode(verdict)) return `${head}\n  → A newer agent says this; upgrade the connector command.`;
  const { summary, hint } = failureEntry(verdict);
  return [head, paragraph(`${summary}.`, page.width, "  "), paragraph(hint, page.width, "  → ")].join("\n");
}

const imdsWords = {
  present: "yes",
  missing: "missing",
  absent: "no",
  unknown: "?",
} as const satisfies Record<PrefixRow["imds"], string>;
const dataPathWords = { routed: "yes", absent: "no", unknown: "?" } as const satisfies Record<
  PrefixRow["dataPath"],
  string
>;

function isWrong({ verdict }: PrefixRow): boolean {
  return verdict !== "ok" && !(isFailureCode(verdict) && failureEntry(verdict).severity === "info");
}

function family({ prefix }: PrefixRow): 4 | 6 {
  return prefix.includes(":") ? 6 : 4;
}

const order = new Intl.Collator("en", { numeric: true });
