import {
  accessSync,
  chmodSync,
  closeSync,
  constants,
  existsSync,
  linkSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
} from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { Failure } from "../../protocol/failures.ts";
import { syncPath } from "../../protocol/node/files.ts";
import type { Saved } from "../core/ports.ts";
import { DamagedRow, readAll, sumOf } from "./store-rows.ts";
import { migrate, schemaVersion, versionOf } from "./store-schema.ts";

/** Opens an existing database for this process alone and reads it whole. Throws what `isDamage` and `failureOf` judge. */
export function openDatabase(path: string, busyTimeoutMs: number): { database: DatabaseSync; saved: Saved } {
  accessSync(path, constants.R_OK | constants.W_OK);
  accessSync(dirname(path), constants.W_OK);
  refuseNewer(path, versionInHeader(path));
  const database = new DatabaseSync(path, { timeout: busyTimeoutMs });
  try {
    // Before the first access, so that there is no shared memory: no other process can open the database.
    database.exec("PRAGMA locking_mode = EXCLUSIVE");
    const version = versionOf(database);
    refuseNewer(path, version);
    if (version === 0) throw new DamagedRow("no schema");
    database.exec("PRAGMA journal_mode = WAL");
    database.exec("PRAGMA synchronous = FULL");
    // A batch of 10,000 grants stays in memory until it is committed, instead of being spilled to the log piecemeal.
    database.exec("PRAGMA cache_size = -16384");
    // And the log is copied into the database every 16 MB, not in the middle of that batch.
    database.exec("PRAGMA wal_autocheckpoint = 4096");
    database.exec(`PRAGMA journal_size_limit = ${16 * 1024 * 1024}`);
    const [check] = database.prepare("PRAGMA integrity_check(1)").all();
    if (check?.integrity_check !== "ok") throw new DamagedRow(String(check?.integrity_check));
    migrate(database, version);
    chmodSync(path, 0o600);
    return { database, saved: readAll(database) };
  } catch (error) {
    database.close();
    throw error;
  }
}

/** `user_version` as the file itself has it, read without SQLite, which may write when it opens: https://www.sqlite.org/fileformat2.html */
function versionInHeader(path: string): number {
  const header = Buffer.alloc(100);
  const file = openSync(path, "r");
  try {
    readSync(file, header);
  } finally {
    closeSync(file);
  }
  return header.subarray(0, 15).toString("latin1") === "SQLite format 3" ? header.readUInt32BE(60) : 0;
}

function refuseNewer(path: string, version: number): void {
  if (version > schemaVersion) throw new Failure("store.newer", { path, version, known: schemaVersion });
}

/**
 * Makes sure that there is a database at `path`. It appears there whole: built beside it, synced, and linked, which
 * fails where another process was faster. `lostTo` is what it remembers to have replaced.
 */
export function createDatabase(path: string, lostTo: string | undefined): void {
  const building = `${path}.new`;
  for (const suffix of ["", "-journal", "-wal", "-shm"]) rmSync(building + suffix, { force: true });
  closeSync(openSync(building, "wx", 0o600));
  const database = new DatabaseSync(building);
  try {
    database.exec("PRAGMA synchronous = FULL");
    migrate(database, 0);
    if (lostTo !== undefined) {
      database.prepare("INSERT INTO lost (only, file, sum) VALUES (1, ?, ?)").run(lostTo, sumOf([lostTo]));
    }
  } finally {
    database.close();
  }
  syncPath(building);
  if (lostTo !== undefined) setAside(path, lostTo);
  moveInPlace(building, path);
}

/** Ends what a crash interrupted: the damaged database was set aside and its replacement, complete, not yet in its place. */
export function finishReplacing(path: string): void {
  const building = `${path}.new`;
  if (existsSync(path) || !existsSync(building)) return;
  try {
    using database = new DatabaseSync(building);
    if (versionOf(database) === 0) return;
    readAll(database);
  } catch {
    // A first start that was cut short: nothing was ever leased.
    return;
  }
  moveInPlace(building, path);
}

function moveInPlace(building: string, path: string): void {
  linkSync(building, path);
  rmSync(building);
  syncPath(dirname(path));
}

function setAside(path: string, aside: string): void {
  for (const suffix of ["-wal", "-shm", "-journal", ""]) {
    if (existsSync(path + suffix)) renameSync(path + suffix, aside + suffix);
  }
  syncPath(dirname(path));
}
