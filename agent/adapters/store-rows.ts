import type { DatabaseSync } from "node:sqlite";
import { crc32 } from "node:zlib";
import type { LeaseRow, Saved, SavedClock } from "../core/ports.ts";

type Column = string | number | null;

/** A row that is not what was written. */
export class DamagedRow extends Error {}

/** The values of a lease row in the order of `leaseColumns`. */
export function leaseValues(row: LeaseRow): Column[] {
  const values = [
    row.pool,
    row.ipv4 ?? null,
    row.ipv6 ?? null,
    row.device,
    row.user,
    row.state,
    row.session?.id ?? null,
    row.session?.epoch ?? null,
    row.leaseMinutes,
    row.untilMonotonicMs,
    row.untilWallMs,
    row.bootId,
    row.order,
  ];
  return [...values, sumOf(values)];
}

export const leaseColumns =
  "pool, ipv4, ipv6, device, user, state, session, epoch, lease_minutes, until_monotonic_ms, until_wall_ms, boot_id, use_order, sum";

export function sumOf(values: readonly Column[]): number {
  return crc32(values.join("\n"));
}

/** Everything the database holds. Throws DamagedRow, or SQLite's error where the file cannot be read. */
export function readAll(database: DatabaseSync): Saved {
  return {
    leases: readSummedRows(database, `SELECT ${leaseColumns} FROM lease`).map(leaseOf),
    desired: readMap(database, "SELECT key, value, sum FROM desired"),
    facts: readMap(database, "SELECT name, value, sum FROM fact"),
    clock: readClock(database),
    lostTo: readSummedRows(database, "SELECT file, sum FROM lost").map(([file]) => String(file))[0],
  };
}

/** Rows as arrays, each without its last column, whose sum it must be. */
function readSummedRows(database: DatabaseSync, sql: string): Column[][] {
  return readRows(database, sql).map((columns) => {
    const values = columns.slice(0, -1);
    if (sumOf(values) !== columns.at(-1)) throw new DamagedRow(`${sql}: ${values[0]}`);
    return values;
  });
}

function readRows(database: DatabaseSync, sql: string): Column[][] {
  const statement = database.prepare(sql);
  statement.setReturnArrays(true);
  return statement.all() as unknown as Column[][];
}

function readMap(database: DatabaseSync, sql: string): Map<string, unknown> {
  return new Map(
    readSummedRows(database, sql).map(([key, value]) => [String(key), JSON.parse(String(value)) as unknown]),
  );
}

function readClock(database: DatabaseSync): SavedClock | undefined {
  const [row] = readSummedRows(database, "SELECT boot_id, monotonic_ms, wall_ms, sum FROM clock");
  if (row === undefined) return undefined;
  return { bootId: String(row[0]), monotonicMs: Number(row[1]), wallMs: Number(row[2]) };
}

function leaseOf(columns: Column[]): LeaseRow {
  const [pool, ipv4, ipv6, device, user, state, session, epoch, minutes, monotonicMs, wallMs, bootId, order] =
    columns;
  if (!isState(state)) throw new DamagedRow(`lease of ${ipv4 ?? ipv6}`);
  return {
    pool: String(pool),
    ipv4: textOf(ipv4),
    ipv6: textOf(ipv6),
    device: String(device),
    user: String(user),
    state,
    session: session === null ? undefined : { id: String(session), epoch: Number(epoch) },
    leaseMinutes: Number(minutes),
    untilMonotonicMs: Number(monotonicMs),
    untilWallMs: Number(wallMs),
    bootId: String(bootId),
    order: Number(order),
  };
}

function isState(state: Column | undefined): state is LeaseRow["state"] {
  return state === "leased" || state === "cooling" || state === "free";
}

function textOf(column: Column | undefined): string | undefined {
  return typeof column === "string" ? column : undefined;
}
