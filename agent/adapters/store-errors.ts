import { Failure, type FailureFacts } from "../../protocol/failures.ts";

/** Primary result codes: https://www.sqlite.org/rescode.html */
const sqlite = {
  error: 1,
  busy: 5,
  readOnly: 8,
  corrupt: 11,
  full: 13,
  cannotOpen: 14,
  notADatabase: 26,
} as const;

/** What an error of SQLite, or of the file system under it, means to the operator. */
export function failureOf(error: unknown, facts: FailureFacts = {}): Failure {
  if (error instanceof Failure) return error;
  const code = resultCode(error);
  const system = (error as { code?: unknown }).code;
  const detail = { ...facts, detail: error instanceof Error ? error.message : String(error) };
  if (code === sqlite.busy) return new Failure("store.locked", facts, error);
  if (code === sqlite.full || system === "ENOSPC" || system === "EDQUOT") {
    return new Failure("store.full", facts, error);
  }
  if (code === sqlite.readOnly || system === "EROFS" || system === "EACCES" || system === "EPERM") {
    return new Failure("store.read-only", facts, error);
  }
  return new Failure("store.failing", detail, error);
}

/** Whether the content is damaged, as opposed to a disk that does not work now. */
export function isDamage(error: unknown): boolean {
  if (error instanceof Failure) return false;
  const code = resultCode(error);
  if (code !== undefined)
    return code === sqlite.corrupt || code === sqlite.notADatabase || code === sqlite.error;
  // What reading the rows throws, also Node itself at a number that is too large; the file system's codes are E… only.
  const system = (error as { code?: unknown }).code;
  return typeof system !== "string" || system.startsWith("ERR_");
}

function resultCode(error: unknown): number | undefined {
  const code = (error as { errcode?: unknown }).errcode;
  return typeof code === "number" ? code & 0xff : undefined;
}
