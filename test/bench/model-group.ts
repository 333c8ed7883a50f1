import { Fleet } from "../../controller/core/fleet.ts";
import { Model } from "../../controller/core/model.ts";
import type { Saved } from "../../controller/core/ports.ts";
import { type Change, tableNames } from "../../controller/core/rows.ts";
import { now } from "./controller-world.ts";

/** What placement reads, with all instances Active and so many addresses free on each: no links, no store. */
export function modelGroup(saved: Saved, free: number): { readonly model: Model; readonly fleet: Fleet } {
  const model = new Model();
  const fleet = new Fleet();
  for (const table of tableNames) {
    for (const row of saved[table]) model.apply({ table, put: row } as Change);
  }
  for (const [i, row] of saved.instance.entries()) {
    fleet.instanceLinked(row.id, i, now);
    const facts = fleet.instance(row.id);
    if (facts === undefined) continue;
    const { managementIp, pools } = row;
    facts.report = {
      status: "Active",
      conditions: [],
      version: "0.1.0",
      upSinceMs: now.wallMs,
      managementIp,
      activeAgents: 0,
      endpoint: `${managementIp}:51820`,
    };
    const leased = model.sessionsOn(row.id).size;
    for (const pool of Object.keys(pools)) {
      facts.pools.set(pool, { total: leased + free, leased, cooling: 0, quarantined: 0, free });
    }
  }
  return { model, fleet };
}
