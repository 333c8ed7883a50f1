import { existsSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { Failure, type Result, success } from "../../protocol/failures.ts";
import type { Logger } from "../../protocol/node/log.ts";
import type { LeaseRow, Saved, SavedClock, Store, StoreBatch } from "../core/ports.ts";
import { failureOf, isDamage } from "./store-errors.ts";
import { createDatabase, finishReplacing, openDatabase } from "./store-file.ts";
import { leaseColumns, leaseValues, sumOf } from "./store-rows.ts";

export interface StoreOptions {
  readonly log: Logger;
  /** How long to wait for another process to let go of the database. Default 5000. */
  readonly busyTimeoutMs?: number;
}

/**
 * Opens the database of one agent, or makes one. Throws a Failure: `store.locked`, `store.newer`, `store.read-only`,
 * `store.full` or `store.failing`. A damaged file is set aside, and `saved.lostTo` says under which name, also after
 * further restarts, until a batch with `recovered` is committed.
 */
export function openStore(path: string, options: StoreOptions): { store: Store; saved: Saved } {
  const { log, busyTimeoutMs = 5_000 } = options;
  try {
    finishReplacing(path);
    if (!existsSync(path)) createDatabase(path, undefined);
    const { database, saved } = openOrReplace(path, busyTimeoutMs, log);
    return { store: new SqliteStore(database, log), saved };
  } catch (error) {
    throw failureOf(error, { path });
  }
}

function openOrReplace(path: string, busyTimeoutMs: number, log: Logger): ReturnType<typeof openDatabase> {
  try {
    return openDatabase(path, busyTimeoutMs);
  } catch (error) {
    if (!isDamage(error)) throw error;
    const stamp = new Date().toISOString().replaceAll(":", "");
    const lostTo = join(dirname(path), `${basename(path)}.corrupt-${stamp}`);
    createDatabase(path, lostTo);
    const failure = new Failure("store.corrupt", { path }, error);
    log.error(
      {
        code: failure.code,
        setAside: lostTo,
        damage: error instanceof Error ? error.message : String(error),
        repair: `sqlite3 ${lostTo} .recover | sqlite3 recovered.db shows what was leased; nothing has to be put back`,
      },
      "the state database was damaged and has been set aside; addresses are leased again after one cool-down",
    );
    return openDatabase(path, busyTimeoutMs);
  }
}

class SqliteStore implements Store {
  readonly #database: DatabaseSync;
  readonly #log: Logger;
  readonly #statements: Statements;
  #failing: string | undefined;

  constructor(database: DatabaseSync, log: Logger) {
    this.#database = database;
    this.#log = log;
    this.#statements = prepareAll(database);
  }

  commit(batch: StoreBatch, clock: SavedClock): Result<void> {
    try {
      this.#database.exec("BEGIN IMMEDIATE");
      this.#write(batch, clock);
      this.#database.exec("COMMIT");
    } catch (error) {
      return { ok: false, failure: this.#fail(error) };
    }
    if (this.#failing !== undefined) this.#log.info({ was: this.#failing }, "the state is written again");
    this.#failing = undefined;
    return success(undefined);
  }

  [Symbol.dispose](): void {
    if (this.#database.isOpen) this.#database.close();
  }

  #write(batch: StoreBatch, clock: SavedClock): void {
    const { desired } = batch;
    const run = this.#statements;
    for (const key of batch.forgotten) this.#forget(key);
    for (const row of batch.leases) this.#put(row);
    if (desired.clear) run.clearDesired.run();
    for (const key of desired.remove) run.removeDesired.run(key);
    for (const [key, value] of desired.set) run.setDesired.run(...summed(key, value));
    for (const [name, value] of batch.facts) run.setFact.run(...summed(name, value));
    if (batch.recovered) run.recovered.run();
    const { bootId, monotonicMs, wallMs } = clock;
    run.setClock.run(bootId, monotonicMs, wallMs, sumOf([bootId, monotonicMs, wallMs]));
  }

  #put(row: LeaseRow): void {
    const statement = row.ipv4 === undefined ? this.#statements.putIpv6 : this.#statements.putIpv4;
    if (statement.run(...leaseValues(row)).changes === 1) return;
    throw new Failure("store.failing", {
      detail: "the address belongs to another pair",
      ipv4: row.ipv4 ?? "",
    });
  }

  #forget(key: string): void {
    const [ipv4 = "", ipv6 = ""] = key.split("|");
    this.#statements.forget.run(ipv4 === "" ? null : ipv4, ipv6 === "" ? null : ipv6);
  }

  /** The connection stays good: the next commit may succeed when the disk does. */
  #fail(error: unknown): Failure {
    try {
      if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
    } catch (rollbackError) {
      this.#log.warn({ err: rollbackError }, "rolling back failed");
    }
    const failure = failureOf(error);
    if (this.#failing !== failure.code) {
      this.#log.warn({ code: failure.code, err: error }, "the state cannot be written");
    }
    this.#failing = failure.code;
    return failure;
  }
}

type Statements = ReturnType<typeof prepareAll>;

function prepareAll(database: DatabaseSync) {
  const prepare = (sql: string): StatementSync => database.prepare(sql);
  return {
    putIpv4: prepare(putLease("ipv4", "ipv6")),
    putIpv6: prepare(putLease("ipv6", "ipv4")),
    forget: prepare("DELETE FROM lease WHERE ipv4 IS ? AND ipv6 IS ?"),
    clearDesired: prepare("DELETE FROM desired"),
    removeDesired: prepare("DELETE FROM desired WHERE key = ?"),
    setDesired: prepare("INSERT OR REPLACE INTO desired (key, value, sum) VALUES (?, ?, ?)"),
    setFact: prepare("INSERT OR REPLACE INTO fact (name, value, sum) VALUES (?, ?, ?)"),
    setClock: prepare(
      "INSERT OR REPLACE INTO clock (only, boot_id, monotonic_ms, wall_ms, sum) VALUES (1, ?, ?, ?, ?)",
    ),
    recovered: prepare("DELETE FROM lost"),
  };
}

/** Replaces the row of the same pair. An address that stands in the row of another pair is an error, never moved. */
function putLease(key: "ipv4" | "ipv6", other: "ipv4" | "ipv6"): string {
  const columns = leaseColumns.split(", ");
  const changed = columns.filter((name) => name !== "ipv4" && name !== "ipv6");
  return `INSERT INTO lease (${leaseColumns}) VALUES (${columns.map(() => "?").join(", ")})
    ON CONFLICT (${key}) DO UPDATE SET ${changed.map((name) => `${name} = excluded.${name}`).join(", ")}
    WHERE ${other} IS excluded.${other}`;
}

function summed(key: string, value: unknown): [string, string, number] {
  const text = JSON.stringify(value);
  return [key, text, sumOf([key, text])];
}
