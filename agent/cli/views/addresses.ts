import { type Column, table } from "../../../protocol/node/table.ts";
import { textWidth } from "../../../protocol/node/text.ts";

/** Who has which addresses, in what state; the codes of states and the devices are whole where there is room. */
export interface AddressRow {
  readonly ipv4?: string | undefined;
  readonly ipv6?: string | undefined;
  readonly user?: string | undefined;
  readonly device: string;
  readonly pool: string;
  readonly state: string;
  readonly code?: string | undefined;
  /** What the tunnel says; a table has these columns when one of its rows has it. */
  readonly traffic?: TrafficCells | undefined;
  /** Under the title that the table was given. */
  readonly time: string;
}

/** From the device and to it; the rest is for wide tables. */
export interface TrafficCells {
  readonly rx: string;
  readonly tx: string;
  readonly handshake: string;
  readonly endpoint: string;
}

/**
 * A table of addresses and their users. Where it fits, and in a pipe, each row is one line; in a narrow terminal a row
 * takes two, with the IPv6 address under the IPv4 address, the device under the
 * user and what was sent to the device under what came from it.
 */
export function addressTable(
  timeTitle: string,
  rows: readonly AddressRow[],
  width: number | undefined,
): string {
  const withCode = rows.some(({ code }) => code !== undefined);
  const withTraffic = rows.some(({ traffic }) => traffic !== undefined);
  const wide = table(
    [
      { title: "IPv4" },
      { title: "IPv6" },
      { title: "User" },
      { title: "Pool" },
      { title: "State" },
      ...(withCode ? [{ title: "Reason" }] : []),
      ...(withTraffic
        ? [
            { title: "Rx", align: "right" as const },
            { title: "Tx", align: "right" as const },
            { title: "Handshake", align: "right" as const },
            { title: "Endpoint" },
          ]
        : []),
      { title: timeTitle, align: "right" },
      { title: "Device" },
    ],
    rows.map(({ ipv4 = "-", ipv6 = "-", user = "-", pool, state, code = "-", traffic, time, device }) => [
      ...[ipv4, ipv6, user, pool, state],
      ...(withCode ? [code] : []),
      ...(withTraffic ? wideTraffic(traffic) : []),
      ...[time, device],
    ]),
  );
  if (width === undefined || fits(wide, width)) return wide;
  const narrow: readonly Column[] = [
    { title: "Address" },
    { title: "User, device", max: withTraffic ? 12 : 16 },
    { title: "Pool", max: withTraffic ? 8 : 10 },
    { title: "State", max: 11 },
    ...(withTraffic ? [{ title: "Rx, tx", align: "right" as const }] : []),
    { title: timeTitle, align: "right" },
  ];
  return table(
    narrow,
    rows.flatMap((row) => twoLines(row, withTraffic)),
    width,
  );
}

function wideTraffic(traffic: TrafficCells | undefined): string[] {
  if (traffic === undefined) return ["-", "-", "-", "-"];
  return [traffic.rx, traffic.tx, traffic.handshake, traffic.endpoint];
}

function twoLines(row: AddressRow, withTraffic: boolean): string[][] {
  const { ipv4, ipv6, user = "-", device, pool, state, code = "", traffic, time } = row;
  const [first = "-", second = ""] = [ipv4, ipv6].filter((address) => address !== undefined);
  const [rx, tx] = withTraffic ? [[traffic?.rx ?? "-"], [traffic?.tx ?? ""]] : [[], []];
  return [
    [first, user, pool, state, ...rx, time],
    [second, device, "", code, ...tx, ""],
  ];
}

function fits(text: string, width: number): boolean {
  return text.split("\n").every((line) => textWidth(line) <= width);
}

/** Orders by IPv4, then IPv6, numbers as numbers; rows without an address come last. */
export function byAddress(a: Pick<AddressRow, "ipv4" | "ipv6">, b: typeof a): number {
  return order.compare(a.ipv4 ?? "~", b.ipv4 ?? "~") || order.compare(a.ipv6 ?? "", b.ipv6 ?? "");
}

const order = new Intl.Collator("en", { numeric: true });
