import { randomUUID } from "node:crypto";
import type { DatabaseSync } from "node:sqlite";
import { Failure } from "../../protocol/failures.ts";

/**
 * The database's history: entry n brings version n to n + 1. Never changed, only added to. Lists and nested values
 * are JSON in TEXT; nothing is ever searched by their inside. Times are milliseconds since 1970.
 */
const migrations: readonly string[] = [
  `
  CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
  CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
  CREATE TABLE token (
    name TEXT PRIMARY KEY, hash TEXT NOT NULL UNIQUE, created_at_ms INTEGER NOT NULL, created_by TEXT NOT NULL
  ) STRICT;
  CREATE TABLE device_group (name TEXT PRIMARY KEY, created_at_ms INTEGER NOT NULL) STRICT;
  CREATE TABLE connector (
    name TEXT PRIMARY KEY, hosting TEXT NOT NULL, mode TEXT NOT NULL, region TEXT NOT NULL, dns TEXT NOT NULL,
    groups TEXT NOT NULL, resources TEXT NOT NULL, ipv6_pool_match TEXT NOT NULL, accounts TEXT NOT NULL, vpc TEXT,
    created_at_ms INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE otp (
    id TEXT PRIMARY KEY, hash TEXT NOT NULL UNIQUE, connector TEXT NOT NULL, use TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL, expires_at_ms INTEGER NOT NULL, created_by TEXT NOT NULL
  ) STRICT;
  CREATE TABLE device_code (
    id TEXT PRIMARY KEY, hash TEXT NOT NULL UNIQUE, user TEXT NOT NULL, device_group TEXT NOT NULL,
    use TEXT NOT NULL, created_at_ms INTEGER NOT NULL, expires_at_ms INTEGER NOT NULL, created_by TEXT NOT NULL
  ) STRICT;
  CREATE TABLE instance (
    id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, connector TEXT NOT NULL, identity_key TEXT NOT NULL UNIQUE,
    wireguard_key TEXT NOT NULL, ec2_instance_id TEXT NOT NULL UNIQUE, management_ip TEXT NOT NULL,
    account_id TEXT NOT NULL, region TEXT NOT NULL, availability_zone TEXT NOT NULL, vpc_id TEXT NOT NULL,
    subnet_id TEXT NOT NULL, endpoint TEXT, pools TEXT NOT NULL, drain_since_ms INTEGER,
    enrolled_at_ms INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE device (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, user TEXT NOT NULL, device_group TEXT NOT NULL,
    identity_key TEXT NOT NULL UNIQUE, wireguard_key TEXT NOT NULL, joined_at_ms INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE session (
    id TEXT PRIMARY KEY, device TEXT NOT NULL UNIQUE, epoch INTEGER NOT NULL, state TEXT NOT NULL, code TEXT,
    instance TEXT, pool TEXT, ipv4 TEXT, ipv6 TEXT
  ) STRICT;
  CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL,
    subject TEXT NOT NULL, before TEXT NOT NULL, after TEXT NOT NULL
  ) STRICT;
  `,
  `
  ALTER TABLE connector ADD COLUMN networks TEXT NOT NULL DEFAULT '[]';
  ALTER TABLE instance ADD COLUMN vpc_cidrs TEXT NOT NULL DEFAULT '[]';
  `,
  `
  ALTER TABLE session ADD COLUMN leaving TEXT;
  `,
  `
  CREATE TABLE carrier (
    name TEXT PRIMARY KEY, instance TEXT NOT NULL, since_ms INTEGER NOT NULL, why TEXT NOT NULL
  ) STRICT;
  ALTER TABLE session ADD COLUMN lost TEXT;
  `,
  `
  CREATE TABLE restart (
    name TEXT PRIMARY KEY, restart_id TEXT NOT NULL, min_active INTEGER NOT NULL, started_at_ms INTEGER NOT NULL,
    started_by TEXT NOT NULL, outcome TEXT NOT NULL, steps TEXT NOT NULL
  ) STRICT;
  `,
];

export const schemaVersion = migrations.length;

/** Brings the database to this version's schema, in one transaction. Fails with `store.newer` when it is ahead. */
export function migrate(database: DatabaseSync, file: string): void {
  const version = versionOf(database);
  if (version > schemaVersion) {
    throw new Failure("store.newer", { file, version, known: schemaVersion });
  }
  if (version === schemaVersion) return;
  database.exec("BEGIN IMMEDIATE");
  try {
    for (const sql of migrations.slice(version)) database.exec(sql);
    if (version === 0) {
      database.prepare("INSERT INTO meta (name, value) VALUES ('controller_id', ?)").run(randomUUID());
    }
    database.exec(`PRAGMA user_version = ${schemaVersion}`);
    database.exec("COMMIT");
  } catch (error) {
    database.exec("ROLLBACK");
    throw error;
  }
}

export function versionOf(database: DatabaseSync): number {
  return Number(database.prepare("PRAGMA user_version").get()?.user_version);
}
