import { catalogue, type FailureEntry, type RetryClass } from "./catalogue.ts";

export type { FailureEntry, RetryClass, Severity } from "./catalogue.ts";

/** A stable name of one way to fail. The same in logs, in `status`, on the wire, in the API and in the docs. */
export type FailureCode = keyof typeof catalogue;

export const failureCodes = Object.keys(catalogue) as [FailureCode, ...FailureCode[]];

export function failureEntry(code: FailureCode): FailureEntry {
  return catalogue[code];
}

export function isFailureCode(text: string): text is FailureCode {
  return Object.hasOwn(catalogue, text);
}

/** What makes this failure this one: values for the log line and the message. Never secrets. */
export type FailureFacts = Readonly<Record<string, string | number | boolean>>;

/** The one error class. Its message is the catalogue's summary with the facts; its code is what programs look at. */
export class Failure extends Error {
  readonly code: FailureCode;
  readonly facts: FailureFacts;

  constructor(code: FailureCode, facts: FailureFacts = {}, cause?: unknown) {
    super(failureText(code, facts), cause === undefined ? undefined : { cause });
    this.name = "Failure";
    this.code = code;
    this.facts = facts;
  }

  get retry(): RetryClass {
    return catalogue[this.code].retry;
  }

  get hint(): string {
    return catalogue[this.code].hint;
  }
}

/** `The one-time password has expired (expired 2 h ago)`: summary, then the facts in brackets. */
export function failureText(code: FailureCode, facts: FailureFacts = {}): string {
  const details = Object.entries(facts).map(([name, value]) => `${name} ${value}`);
  const { summary } = failureEntry(code);
  return details.length === 0 ? summary : `${summary} (${details.join(", ")})`;
}

/** Success with a value, or the failure: what codecs and decisions return instead of throwing. */
export type Result<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly failure: Failure };

export function success<T>(value: T): Result<T> {
  return { ok: true, value };
}

export function failed(
  code: FailureCode,
  facts?: FailureFacts,
  cause?: unknown,
): { ok: false; failure: Failure } {
  return { ok: false, failure: new Failure(code, facts, cause) };
}
