import { Failure, type FailureCode, type FailureFacts } from "../../protocol/failures.ts";

/** One thing that is wrong with what an administrator asked for. */
export interface Problem {
  /** `groups.0.leaseMinutes`; empty for the request as a whole. */
  readonly field: string;
  /** What was given, shortened; absent when nothing was. */
  readonly value?: string | undefined;
  readonly problem: string;
  readonly fix: string;
}

/** A refusal that names everything that is wrong. Its code is that of the first. */
export class ManyProblems extends Failure {
  readonly problems: readonly Problem[];

  constructor(code: FailureCode, problems: readonly Problem[], facts: FailureFacts = {}) {
    super(code, problems.length > 1 ? { ...facts, problems: problems.length } : facts);
    this.problems = problems;
  }
}
