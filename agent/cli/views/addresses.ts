import { type Column, table } from "../../../protocol/node/table.ts";
import { textWidth } from "../../../protocol/node/text.ts";

export interface AddressRow {
  readonly ipv4?: string | undefined;
  readonly ipv6?: string | undefined;
  readonly cells: readonly string[];
}

/**
 * A table of who has which addresses. Where it fits, IPv4 and IPv6 stand side by side, one line a row; in a narrow
 * terminal they share a column, the IPv6 address on a line of its own.
 */
export function addressTable(
  columns: readonly Column[],
  rows: readonly AddressRow[],
  width: number | undefined,
): string {
  const wide = table(
    [{ title: "IPv4" }, { title: "IPv6" }, ...columns],
    rows.map(({ ipv4 = "-", ipv6 = "-", cells }) => [ipv4, ipv6, ...cells]),
  );
  if (width === undefined || wide.split("\n").every((line) => textWidth(line) <= width)) return wide;
  return table(
    [{ title: "Address" }, ...columns],
    rows.flatMap(({ ipv4, ipv6, cells }) => {
      const [first = "-", second] = [ipv4, ipv6].filter((address) => address !== undefined);
      return [[first, ...cells], ...(second === undefined ? [] : [[second]])];
    }),
    width,
  );
}

/** Orders by IPv4, then IPv6, numbers as numbers. */
export function byAddress(a: { ipv4?: string | undefined; ipv6?: string | undefined }, b: typeof a): number {
  return order.compare(a.ipv4 ?? "~", b.ipv4 ?? "~") || order.compare(a.ipv6 ?? "", b.ipv6 ?? "");
}

const order = new Intl.Collator("en", { numeric: true });
