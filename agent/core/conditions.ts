import { type FailureCode, type FailureFacts, failureEntry, failureText } from "../../protocol/failures.ts";
import { earliest, type Instant } from "../../protocol/time.ts";
import type { Condition } from "../../protocol/view.ts";

/** Something that is wrong now. `subject` tells which one where there are several of a code. */
export interface Problem {
  readonly code: FailureCode;
  readonly subject?: string | undefined;
  readonly facts?: FailureFacts | undefined;
}

/** As many as the protocol's condition list takes. */
const conditionsMax = 256;

const weight = { error: 0, warning: 1, info: 2 } as const;

/**
 * Remembers since when each problem has lasted, and derives what people are shown: not before the catalogue's delay,
 * and not while the cause of it is shown.
 */
export class Conditions {
  /** BOUNDED: `conditionsMax`. */
  #lasting = new Map<string, { readonly problem: Problem; readonly since: Instant }>();

  /** Takes the problems that exist now. One that is named again keeps its beginning. */
  update(problems: readonly Problem[], now: Instant): void {
    const lasting = new Map<string, { problem: Problem; since: Instant }>();
    for (const problem of problems) {
      if (lasting.size >= conditionsMax) break;
      const key = keyOf(problem);
      if (!lasting.has(key)) lasting.set(key, { problem, since: this.#lasting.get(key)?.since ?? now });
    }
    this.#lasting = lasting;
  }

  /** Worst first, then oldest first. */
  shown(now: Instant): Condition[] {
    const due = [...this.#lasting.values()].filter(
      ({ problem, since }) => now.monotonicMs >= since.monotonicMs + delayMs(problem),
    );
    const codes = new Set(due.map(({ problem }) => problem.code));
    return due
      .filter(({ problem }) => !causesOf(problem).some((cause) => codes.has(cause as FailureCode)))
      .map(({ problem, since }) => conditionOf(problem, since))
      .sort((a, b) => weight[a.severity] - weight[b.severity] || a.sinceMs - b.sinceMs);
  }

  /** When the next problem will have lasted long enough to be shown. */
  nextDeadline(now: Instant): number | undefined {
    const waits = [...this.#lasting.values()].map(
      ({ problem, since }) => since.monotonicMs + delayMs(problem),
    );
    return earliest(...waits.filter((atMs) => atMs > now.monotonicMs));
  }
}

function keyOf(problem: Problem): string {
  return `${problem.code} ${problem.subject ?? ""}`;
}

function delayMs(problem: Problem): number {
  return failureEntry(problem.code).shownAfterMs ?? 0;
}

function causesOf(problem: Problem): readonly string[] {
  return failureEntry(problem.code).causedBy ?? [];
}

function conditionOf({ code, subject, facts }: Problem, since: Instant): Condition {
  const { severity, hint } = failureEntry(code);
  return {
    code,
    severity,
    sinceMs: since.wallMs,
    ...(subject === undefined ? {} : { subject: subject.slice(0, 128) }),
    text: failureText(code, facts).slice(0, 512),
    hint,
  };
}
