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
  /** Under the title that the table was given. */
  readonly time: string;
}

/**
 * A table of addresses and their users. Where it fits, and in a pipe, each row is one line; in a narrow terminal a row
 * takes two, with the IPv6 address under the IPv4 address and the device under the user.
 */
export function addressTable(
  timeTitle: string,
  rows: readonly AddressRow[],
  width: number | undefined,
): string {
  const withCode = rows.some(({ code }) => code !== undefined);
  const wide = table(
    [
      { title: "IPv4" },
      { title: "IPv6" },
      { title: "User" },
      { title: "Pool" },
      { title: "State" },
      ...(withCode ? [{ title: "Reason" }] : []),
      { title: timeTitle, align: "right" },
      { title: "Device" },
    ],
    rows.map(({ ipv4 = "-", ipv6 = "-", user = "-", pool, state, code = "-", time, device }) => {
      return [ipv4, ipv6, user, pool, state, ...(withCode ? [code] : []), time, device];
    }),
  );
  if (width === undefined || fits(wide, width)) return wide;
  const narrow: readonly Column[] = [
    { title: "Address" },
    { title: "User, device", max: 16 },
    { title: "Pool", max: 10 },
    { title: "State" },
    { title: timeTitle, align: "right" },
  ];
  return table(narrow, rows.flatMap(twoLines), width);
}

function twoLines({ ipv4, ipv6, user = "-", device, pool, state, code = "", time }: AddressRow): string[][] {
  const [first = "-", second = ""] = [ipv4, ipv6].filter((address) => address !== undefined);
  return [
    [first, user, pool, state, time],
    [second, device, "", code, ""],
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
