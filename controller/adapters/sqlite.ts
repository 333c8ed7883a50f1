import { closeSync, openSync } from "node:fs";
import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite";
import type { SqliteDatabase, SqliteStatement } from "kysely";
import { Failure } from "../../protocol/failures.ts";

/**
 * Opens a database the way the controller needs it: WAL, and FULL so that a commit is on disk when it returns. Fails
 * with `store.damaged` naming the file when it is no sound database.
 */
export function openDatabase(path: string): DatabaseSync {
  let database: DatabaseSync | undefined;
  try {
    // Whatever folder the operator made: names of users and hashes of secrets are in it. Its log gets the same mode.
    closeSync(openSync(path, "a", 0o640));
    database = new DatabaseSync(path, { timeout: 5000 });
    database.exec("PRAGMA journal_mode = WAL");
    database.exec("PRAGMA synchronous = FULL");
    database.exec("PRAGMA foreign_keys = ON");
    const check = database.prepare("PRAGMA quick_check(1)").get()?.quick_check;
    if (check !== "ok") throw new Failure("store.damaged", { file: path, problem: String(check) });
    return database;
  } catch (error) {
    database?.close();
    throw error instanceof Failure ? error : openFailure(error, path);
  }
}

/** What a failed write means: the disk is full, cannot be written, or something else. */
export function writeFailure(error: unknown): Failure {
  const result = resultCode(error);
  const facts = { problem: String((error as Error).message).slice(0, 200) };
  if (result === sqliteFull) return new Failure("store.full", facts, error);
  const system = (error as NodeJS.ErrnoException).code;
  if (system === "ENOSPC" || system === "EDQUOT") return new Failure("store.full", facts, error);
  const isRefused = system === "EROFS" || system === "EACCES" || system === "EPERM";
  if (isRefused || result === sqliteReadOnly || result === sqlitePermission) {
    return new Failure("store.read-only", facts, error);
  }
  return new Failure("store.failing", facts, error);
}

/** The shape of better-sqlite3 over node:sqlite, which is all that Kysely's own dialect asks for. */
export function forKysely(database: DatabaseSync): SqliteDatabase {
  return {
    close: () => database.close(),
    prepare: (sql) => statementOf(database.prepare(sql)),
  };
}

function statementOf(statement: StatementSync): SqliteStatement {
  return {
    reader: statement.columns().length > 0,
    all: (parameters) => statement.all(...(parameters as SQLInputValue[])),
    run: (parameters) => statement.run(...(parameters as SQLInputValue[])),
    iterate: (parameters) => statement.iterate(...(parameters as SQLInputValue[])),
  };
}

/** https://www.sqlite.org/rescode.html: the low byte is the primary result code. */
const sqlitePermission = 3;
const sqliteReadOnly = 8;
const sqliteCorrupt = 11;
const sqliteFull = 13;
const sqliteNotADatabase = 26;

export function resultCode(error: unknown): number | undefined {
  const code = (error as { errcode?: unknown }).errcode;
  return typeof code === "number" ? code & 0xff : undefined;
}

function openFailure(error: unknown, file: string): Failure {
  const result = resultCode(error);
  const problem = String((error as Error).message).slice(0, 200);
  if (result === sqliteCorrupt || result === sqliteNotADatabase) {
    return new Failure("store.damaged", { file, problem }, error);
  }
  const failure = writeFailure(error);
  return new Failure(failure.code, { ...failure.facts, file }, error);
}
