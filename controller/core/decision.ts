import type { FailureFacts, Result } from "../../protocol/failures.ts";
import { failed } from "../../protocol/failures.ts";
import type { AdminCommand, CommandName, CommandResults } from "./admin.ts";
import type { Model } from "./model.ts";
import type { Makers } from "./ports.ts";
import { ManyProblems, type Problem } from "./problem.ts";
import type { AuditDraft, Plan } from "./rows.ts";
import type { ControllerViews } from "./views.ts";

/** What a decision may look at. It changes nothing: it answers what should change. */
export interface DecideContext {
  readonly model: Model;
  readonly views: ControllerViews;
  readonly makers: Makers;
  readonly actor: string;
  readonly nowMs: number;
}

/** A decision and the answer to give once it is stored. */
export interface Decision<Answer> {
  readonly plan: Plan;
  readonly answer: (views: ControllerViews) => Answer;
}

export type CommandOf<Name extends CommandName> = Extract<AdminCommand, { command: Name }>;

export type Deciders<Names extends CommandName> = {
  readonly [Name in Names]: (
    command: CommandOf<Name>,
    context: DecideContext,
  ) => Result<Decision<CommandResults[Name]>>;
};

export function auditOf(
  context: DecideContext,
  action: string,
  subject: string,
  before: object | null,
  after: object | null,
): AuditDraft {
  return {
    atMs: context.nowMs,
    actor: context.actor,
    action,
    subject,
    before: withoutHash(before),
    after: withoutHash(after),
  };
}

export function notFound(what: string, name: string) {
  return failed("admin.not-found", { [what]: name });
}

export function conflict(problem: string, facts: FailureFacts = {}) {
  return failed("admin.conflict", { ...facts, problem });
}

export function invalid(field: string, problem: string) {
  return failed("admin.invalid", { field, problem });
}

/** A refusal that a person can act on: the field, what it is or was to be, what is wrong with that, and what to do. */
export function refusal(code: "admin.invalid" | "admin.conflict", wrong: Problem) {
  const { field, value, problem } = wrong;
  const facts = { field, ...(value === undefined ? {} : { value }), problem };
  return { ok: false, failure: new ManyProblems(code, [wrong], facts) } as const;
}

/** Even the hash of a secret is nobody's business. */
function withoutHash(row: object | null): object | null {
  if (row === null || !("hash" in row)) return row;
  const { hash: _, ...shown } = row;
  return shown;
}
