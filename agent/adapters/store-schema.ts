import type { DatabaseSync } from "node:sqlite";

/**
 * Every version of the schema, as the steps that lead to it: `user_version` is how many have been done. Steps are only
 * ever appended. Addresses are UNIQUE over all rows: whatever a bug elsewhere does, no two leases have one.
 */
const steps: readonly string[] = [
  `CREATE TABLE lease (
     pool TEXT NOT NULL,
     ipv4 TEXT UNIQUE,
     ipv6 TEXT UNIQUE,
     device TEXT NOT NULL,
     user TEXT NOT NULL,
     state TEXT NOT NULL CHECK (state IN ('leased', 'cooling', 'free')),
     session TEXT,
     epoch INTEGER,
     lease_minutes INTEGER NOT NULL,
     until_monotonic_ms REAL NOT NULL,
     until_wall_ms INTEGER NOT NULL,
     boot_id TEXT NOT NULL,
     use_order INTEGER NOT NULL,
     sum INTEGER NOT NULL,
     CHECK (ipv4 IS NOT NULL OR ipv6 IS NOT NULL),
     CHECK ((session IS NULL) = (epoch IS NULL))
   ) STRICT;
   CREATE TABLE desired (key TEXT PRIMARY KEY, value TEXT NOT NULL, sum INTEGER NOT NULL) STRICT, WITHOUT ROWID;
   CREATE TABLE fact (name TEXT PRIMARY KEY, value TEXT NOT NULL, sum INTEGER NOT NULL) STRICT, WITHOUT ROWID;
   CREATE TABLE clock (
     only INTEGER PRIMARY KEY CHECK (only = 1),
     boot_id TEXT NOT NULL,
     monotonic_ms REAL NOT NULL,
     wall_ms REAL NOT NULL,
     sum INTEGER NOT NULL
   ) STRICT;
   CREATE TABLE lost (only INTEGER PRIMARY KEY CHECK (only = 1), file TEXT NOT NULL, sum INTEGER NOT NULL) STRICT;`,
];

export const schemaVersion = steps.length;

/** Brings a database of version `from` to the newest, in one transaction. */
export function migrate(database: DatabaseSync, from: number): void {
  if (from === schemaVersion) return;
  database.exec("BEGIN IMMEDIATE");
  try {
    for (const step of steps.slice(from)) database.exec(step);
    database.exec(`PRAGMA user_version = ${schemaVersion}`);
    database.exec("COMMIT");
  } catch (error) {
    if (database.isTransaction) database.exec("ROLLBACK");
    throw error;
  }
}

export function versionOf(database: DatabaseSync): number {
  return Number(database.prepare("PRAGMA user_version").get()?.user_version ?? 0);
}
