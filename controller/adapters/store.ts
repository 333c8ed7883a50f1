import { existsSync } from "node:fs";
import { join } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { type Insertable, Kysely, SqliteDialect } from "kysely";
import { Failure, failed, type Result, success } from "../../protocol/failures.ts";
import { makeFolder } from "../../protocol/node/files.ts";
import type { Saved, Store } from "../core/ports.ts";
import { type Change, type Plan, type TableName, type TokenRow, tableNames } from "../core/rows.ts";
import { AuditEntry } from "../core/views.ts";
import { type Columns, mappings } from "./columns.ts";
import { takeLock } from "./lock.ts";
import { migrate, schemaVersion, versionOf } from "./migrations.ts";
import { forKysely, openDatabase, writeFailure } from "./sqlite.ts";

/** Tables by name; what stands in their columns is the business of columns.ts. */
type Database = Record<string, Columns>;

/** Opens the controller's database, `controller.db`, for this process alone. */
export function openStore(stateDir: string): Store {
  makeFolder(stateDir);
  const file = join(stateDir, "controller.db");
  const lockFile = join(stateDir, "controller.lock");
  const hasRun = existsSync(lockFile);
  const lock = takeLock(lockFile);
  try {
    // Looked at behind the lock: who has it may be about to make the database.
    if (hasRun && !existsSync(file)) {
      const problem =
        "missing, though a controller has run here; to start empty on purpose, remove controller.lock";
      throw new Failure("store.damaged", { file, problem });
    }
    const database = openDatabase(file);
    migrate(database, file);
    return new SqliteStore(database, lock);
  } catch (error) {
    lock[Symbol.dispose]();
    throw error;
  }
}

/**
 * Opens the database beside a controller that may be running on it, for a command of the same host: it adds a row and
 * its audit entry, and changes no schema.
 */
export function openStoreBeside(stateDir: string): Store {
  try {
    return openStore(stateDir);
  } catch (error) {
    if (!(error instanceof Failure) || error.code !== "store.locked") throw error;
  }
  const file = join(stateDir, "controller.db");
  const database = openDatabase(file);
  const version = versionOf(database);
  if (version === schemaVersion) return new SqliteStore(database, undefined);
  database.close();
  throw new Failure("store.locked", { file, problem: "a controller of another version runs on it" });
}

export class SqliteStore implements Store {
  readonly #db: Kysely<Database>;
  readonly #lock: Disposable | undefined;

  constructor(database: DatabaseSync, lock: Disposable | undefined) {
    this.#db = new Kysely({ dialect: new SqliteDialect({ database: forKysely(database) }) });
    this.#lock = lock;
  }

  async load(): Promise<Saved> {
    const saved: Record<string, unknown> = {};
    for (const name of tableNames) saved[name] = await this.#rows(name);
    const id = await this.#db
      .selectFrom("meta")
      .select("value")
      .where("name", "=", "controller_id")
      .executeTakeFirstOrThrow();
    return { ...(saved as Saved), controllerId: String(id.value) };
  }

  async commit({ changes, audit }: Plan): Promise<Result<void>> {
    try {
      await this.#db.transaction().execute(async (transaction) => {
        for (const name of tableNames) {
          const ofTable = changes.filter(({ table }) => table === name);
          if (ofTable.length > 0) await writeTable(transaction, name, ofTable);
        }
        for (const { atMs, actor, action, subject, before, after } of audit) {
          const entry = { at_ms: atMs, actor, action, subject };
          await transaction
            .insertInto("audit")
            .values({
              ...entry,
              before: JSON.stringify(before),
              after: JSON.stringify(after),
            } as Insertable<Columns>)
            .execute();
        }
      });
      return success(undefined);
    } catch (error) {
      return { ok: false, failure: writeFailure(error) };
    }
  }

  async audit(page: { before: number | undefined; limit: number }): Promise<Result<AuditEntry[]>> {
    try {
      let query = this.#db.selectFrom("audit").selectAll().orderBy("id", "desc").limit(page.limit);
      if (page.before !== undefined) query = query.where("id", "<", page.before);
      const rows = await query.execute();
      return success(rows.map(auditEntry));
    } catch (error) {
      return failed("store.failing", {}, error);
    }
  }

  async tokens(): Promise<Result<readonly TokenRow[]>> {
    try {
      return success((await this.#rows("token")) as TokenRow[]);
    } catch (error) {
      return failed("store.failing", {}, error);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#db.destroy();
    this.#lock?.[Symbol.dispose]();
  }

  async #rows(name: TableName): Promise<unknown[]> {
    const { table, fromColumns } = mappings[name];
    const rows = await this.#db.selectFrom(table).selectAll().execute();
    return rows.map((row) => fromColumns(row));
  }
}

/** Rows in one statement: SQLite takes 32,766 parameters, and no row has more than 17 columns. */
const rowsPerStatement = 500;

async function writeTable(db: Kysely<Database>, name: TableName, changes: readonly Change[]): Promise<void> {
  const { table, key } = mappings[name];
  const toColumns = mappings[name].toColumns as (row: unknown) => Columns;
  const removed = changes.flatMap((change) => ("remove" in change ? [change.remove] : []));
  for (const keys of chunks(removed)) await db.deleteFrom(table).where(key, "in", keys).execute();
  const rows = changes.flatMap((change) => ("put" in change ? [toColumns(change.put)] : []));
  for (const values of chunks(rows)) {
    await db
      .insertInto(table)
      .values(values as Insertable<Columns>[])
      .onConflict((conflict) =>
        conflict.column(key).doUpdateSet((row) => {
          const columns = Object.keys(values[0] ?? {}).filter((column) => column !== key);
          return Object.fromEntries(columns.map((column) => [column, row.ref(`excluded.${column}`)]));
        }),
      )
      .execute();
  }
}

function chunks<T>(list: readonly T[]): T[][] {
  const count = Math.ceil(list.length / rowsPerStatement);
  return Array.from({ length: count }, (_, i) =>
    list.slice(i * rowsPerStatement, (i + 1) * rowsPerStatement),
  );
}

function auditEntry(row: Columns): AuditEntry {
  return AuditEntry.parse({
    id: row.id,
    atMs: row.at_ms,
    actor: row.actor,
    action: row.action,
    subject: row.subject,
    before: JSON.parse(String(row.before)),
    after: JSON.parse(String(row.after)),
  });
}
