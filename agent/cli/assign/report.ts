import type { Family } from "../../../protocol/address.ts";
import type { Failure } from "../../../protocol/failures.ts";
import { table } from "../../../protocol/node/table.ts";
import { exitCodes } from "../../../protocol/node/text.ts";
import { type Page, paragraph, type Report } from "../page.ts";
import { failureText } from "../show.ts";
import { families, freeSlots, type Plan } from "./plan.ts";

/** What became of a plan. */
export interface Outcome {
  readonly plan: Plan;
  readonly assigned: Readonly<Record<Family, readonly string[]>>;
  /** What kept the rest from being assigned. */
  readonly failure?: Failure;
  /** Whether the metadata service shows all that was assigned; the agent counts a prefix from then on. */
  readonly isSeen: boolean;
}

export function planReport(plan: Plan): Report {
  const rows = families.map((family) => ({
    family: `IPv${family}`,
    assigned: plan.now.prefixes[family],
    wanted: plan.wanted[family],
    free: freeSlots(plan, family) ?? null,
  }));
  return {
    json: { interface: plan.interfaceId, dryRun: true, families: rows },
    exitCode: exitCodes.fine,
    text: ({ width }) => {
      const body = table(
        [{ title: "" }, { title: "Has" }, { title: "Would Add" }, { title: "Room For" }],
        rows.map((row) => [row.family, `${row.assigned.length}`, `${row.wanted}`, `${row.free ?? "?"}`]),
        width,
      );
      return `Network interface ${plan.interfaceId}\n\n${body}\n\nNothing was changed. Without --dry-run it is.\n`;
    },
  };
}

/** Degraded: not all that was asked for is assigned, or the metadata service does not show it yet. */
export function outcomeReport(outcome: Outcome): Report {
  const { plan, assigned, failure, isSeen } = outcome;
  const isDone = failure === undefined;
  return {
    json: {
      interface: plan.interfaceId,
      assigned: [...assigned[4], ...assigned[6]],
      prefixes: allOf(outcome),
      seen: isSeen,
      ...(failure === undefined
        ? {}
        : { error: { code: failure.code, text: failure.message, hint: failure.hint } }),
    },
    exitCode: isDone && isSeen ? exitCodes.fine : exitCodes.failed,
    text: (page) => outcomeText(outcome, page),
  };
}

function outcomeText(outcome: Outcome, page: Page): string {
  const { plan, assigned, failure, isSeen } = outcome;
  const given = [...assigned[4], ...assigned[6]];
  const parts = [
    given.length === 0
      ? `Nothing was assigned to ${plan.interfaceId}.`
      : `Assigned to ${plan.interfaceId}:\n${given.map((text) => `  ${text}`).join("\n")}`,
  ];
  if (failure !== undefined) parts.push(failureText(failure, page).trimEnd());
  if (given.length > 0 && !isSeen) {
    parts.push(
      paragraph(
        "The metadata service does not show all of it yet. `connector prefixes --refresh` looks again.",
        page.width,
      ),
    );
  }
  if (given.length > 0) parts.push(nextStep(outcome, page));
  return `${parts.join("\n\n")}\n`;
}

/** Pools are set as a whole, so it names what was there before, too. It is one line, to be copied. */
function nextStep(outcome: Outcome, { width }: Page): string {
  const say = paragraph(
    "Give the same prefixes to pools of this instance, on a host with an admin token (all of them: what is not named is taken away):",
    width,
  );
  return `${say}\n  connector-controller instance pools set INSTANCE POOL=${allOf(outcome).join(",")}`;
}

function allOf({ plan, assigned }: Outcome): readonly string[] {
  return families.flatMap((family) => [...plan.now.prefixes[family], ...assigned[family]]);
}
