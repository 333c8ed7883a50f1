import { table } from "../../protocol/node/table.ts";
import type { Calm, Ran } from "./run.ts";

/** What came of a run, for people and for programs. Pure. */
export interface Report {
  readonly machine: string;
  readonly calm: Calm;
  readonly ran: readonly Ran[];
}

export function isAsExpected(ran: readonly Ran[]): boolean {
  return ran.every((each) => each.is === "skipped" || each.outcome.problems.length === 0);
}

export function calmText({ devices, requestsPerS, medianMs, worstMs, cpuRatio }: Calm): string {
  return [
    `${devices} devices, ${requestsPerS.toFixed(0)} requests answered per second, which take ${(100 * cpuRatio).toFixed(0)} % of one processor to ask.`,
    `Without a fault the longest time without an answer is ${ms(medianMs)} (median of the devices), ${ms(worstMs)} (worst).`,
  ].join("\n");
}

export function reportText({ machine, calm, ran }: Report, width?: number): string {
  const rows = table(
    [
      { title: "Fault" },
      { title: "Sessions There", align: "right" },
      { title: "Moved", align: "right" },
      { title: "Median Gap ms", align: "right" },
      { title: "Worst ms", align: "right" },
      { title: "Allowed ms", align: "right" },
      { title: "Others' Worst ms", align: "right" },
      { title: "Lost", align: "right" },
      { title: "As Expected" },
    ],
    ran.map(row),
    width,
  );
  const problems = ran.flatMap((each) =>
    each.is === "skipped" ? [] : each.outcome.problems.map((text) => `${each.fault}: ${text}`),
  );
  return [machine, calmText(calm), "", rows, ...(problems.length === 0 ? [] : ["", ...problems])].join("\n");
}

export function progressText(ran: Ran): string {
  if (ran.is === "skipped") return `${ran.fault} not run: ${ran.why}`;
  const { hit, moved, moves, worstMs, problems } = ran.outcome;
  const times = moves > moved ? ` (${moves} moves)` : "";
  return `${ran.fault}${ran.instance === undefined ? "" : ` at ${ran.instance}`}: ${moved} of ${hit} moved${times}, longest gap ${ms(worstMs)}${problems.map((text) => `\n           ${text}`).join("")}`;
}

function row(ran: Ran): string[] {
  if (ran.is === "skipped") return [ran.fault, "-", "-", "-", "-", "-", "-", "-", `not run: ${ran.why}`];
  const { hit, moved, medianMs, worstMs, allowedMs, othersMs, lost, problems } = ran.outcome;
  const numbers = [medianMs, worstMs, allowedMs, othersMs].map((value) => value?.toFixed(0) ?? "-");
  return [
    ran.fault,
    `${hit}`,
    `${moved}`,
    ...numbers,
    `${lost.length}`,
    problems.length === 0 ? "yes" : "no",
  ];
}

function ms(value: number | undefined): string {
  return value === undefined ? "-" : `${value.toFixed(0)} ms`;
}
