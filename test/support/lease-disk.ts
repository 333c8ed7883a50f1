import { type LeaseRow, pairKey, type Saved } from "../../agent/core/ports.ts";

/** What a disk would hold of the leases, in memory, with the database's own rule: no address stands in two rows. */
export class LeaseDisk {
  rows = new Map<string, LeaseRow>();
  lostTo: string | undefined;

  write(effect: {
    readonly rows: readonly LeaseRow[];
    readonly forgotten: readonly string[];
    readonly recovered: boolean;
  }): void {
    const rows = new Map(this.rows);
    for (const key of effect.forgotten) rows.delete(key);
    for (const row of effect.rows) rows.set(pairKey(row.ipv4, row.ipv6), row);
    const addresses = [...rows.values()].flatMap(({ ipv4, ipv6 }) =>
      [ipv4, ipv6].filter((a) => a !== undefined),
    );
    if (new Set(addresses).size !== addresses.length) throw new Error("an address stands in two rows");
    this.rows = rows;
    if (effect.recovered) this.lostTo = undefined;
  }

  saved(clock: Saved["clock"] = undefined): Pick<Saved, "leases" | "clock" | "lostTo"> {
    return { leases: [...this.rows.values()], clock, lostTo: this.lostTo };
  }
}
