import { type Failure, type FailureCode, failureEntry } from "../../../protocol/failures.ts";

/** One line of `check`: what was looked at, how it is, and when it is not fine what to do. */
export interface Line {
  readonly name: string;
  /** `skip`: could not be looked at, because something it needs failed or was not there. */
  readonly result: "ok" | "warn" | "FAIL" | "skip";
  readonly text: string;
  readonly action?: string;
  readonly code?: FailureCode;
}

export function ok(name: string, text: string): Line {
  return { name, result: "ok", text };
}

export function skip(name: string, text: string): Line {
  return { name, result: "skip", text };
}

export function warn(name: string, text: string, action: string): Line {
  return { name, result: "warn", text, action };
}

export function fail(name: string, text: string, action: string): Line {
  return { name, result: "FAIL", text, action };
}

/** The catalogue's words for it; what it calls a warning or information does not fail the check. */
export function lineOf(name: string, failure: Failure): Line {
  const { code, message, hint } = failure;
  const result = failureEntry(code).severity === "error" ? "FAIL" : "warn";
  return { name, result, text: message, action: hint, code };
}
