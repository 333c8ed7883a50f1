import type { Leaving, Lost, SessionPlace, TableName, Tables } from "../core/rows.ts";

/** How rows stand in tables: one column per field, nested values as JSON text. */

type Column = string | number | null;
export type Columns = Record<string, Column>;

interface Mapping<Row> {
  readonly table: string;
  readonly key: "id" | "name";
  readonly toColumns: (row: Row) => Columns;
  readonly fromColumns: (columns: Columns) => Row;
}

export const mappings: { readonly [Table in TableName]: Mapping<Tables[Table]> } = {
  connector: plain("connector", "name", ["dns", "groups", "resources", "networks", "accounts"]),
  group: plain("device_group", "name"),
  otp: plain("otp", "id", ["use"]),
  deviceCode: plain("device_code", "id", ["use"]),
  instance: plain("instance", "id", ["vpcCidrs", "pools"]),
  device: plain("device", "id"),
  token: plain("token", "name"),
  carrier: plain("carrier", "name"),
  counter: plain("counter", "name"),
  restart: plain("restart", "name", ["outcome", "steps"]),
  session: {
    table: "session",
    key: "id",
    toColumns: ({ id, device, epoch, place, leaving, lost }) => ({
      id,
      device,
      epoch,
      ...placeColumns(place),
      leaving: leaving === null ? null : JSON.stringify(leaving),
      lost: lost === undefined ? null : JSON.stringify(lost),
    }),
    fromColumns: (columns) => ({
      id: String(columns.id),
      device: String(columns.device),
      epoch: Number(columns.epoch),
      place: placeOf(columns),
      leaving: leavingOf(columns.leaving),
      ...(typeof columns.lost === "string" ? { lost: JSON.parse(columns.lost) as Lost } : {}),
    }),
  },
};

/** A row whose fields are its columns: `enrolledAtMs` in `enrolled_at_ms`. */
function plain<Row extends object>(
  table: string,
  key: "id" | "name",
  json: readonly string[] = [],
): Mapping<Row> {
  return {
    table,
    key,
    toColumns: (row) => {
      const columns: Columns = {};
      for (const [field, value] of Object.entries(row)) {
        columns[columnOf(field)] = json.includes(field) ? JSON.stringify(value) : value;
      }
      return columns;
    },
    fromColumns: (columns) => {
      const row: Record<string, unknown> = {};
      for (const [column, value] of Object.entries(columns)) {
        const field = fieldOf(column);
        row[field] = json.includes(field) ? JSON.parse(String(value)) : value;
      }
      return row as Row;
    },
  };
}

/** `group` is a word of SQL. */
const renamed: Readonly<Record<string, string>> = { group: "device_group" };

function columnOf(field: string): string {
  return renamed[field] ?? field.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

function fieldOf(column: string): string {
  if (column === "device_group") return "group";
  return column.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

function placeColumns(place: SessionPlace): Columns {
  const empty = { code: null, instance: null, pool: null, ipv4: null, ipv6: null };
  switch (place.is) {
    case "waiting":
      return { ...empty, state: place.is, code: place.code };
    case "placed":
      return { ...empty, state: place.is, instance: place.instance, pool: place.pool };
    case "attached": {
      const { instance, pool, ipv4, ipv6 } = place;
      return { ...empty, state: place.is, instance, pool, ipv4: ipv4 ?? null, ipv6: ipv6 ?? null };
    }
  }
}

function placeOf(columns: Columns): SessionPlace {
  if (columns.state === "waiting") return { is: "waiting", code: String(columns.code) };
  const place = { instance: String(columns.instance), pool: String(columns.pool) };
  if (columns.state === "placed") return { is: "placed", ...place };
  return { is: "attached", ...place, ipv4: text(columns.ipv4), ipv6: text(columns.ipv6) };
}

function leavingOf(column: Column | undefined): Leaving | null {
  if (typeof column !== "string") return null;
  const { epoch, instance, pool, ipv4, ipv6, untilMs } = JSON.parse(column) as Leaving;
  return { epoch, instance, pool, ipv4, ipv6, untilMs };
}

function text(value: Column | undefined): string | undefined {
  return typeof value === "string" ? value : undefined;
}
