import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Fleet } from "../../controller/core/fleet.ts";
import { Model } from "../../controller/core/model.ts";
import { Placement } from "../../controller/core/placement.ts";
import { put } from "../../controller/core/rows.ts";
import { type BenchResult, best, type Size, timed, workHash } from "./bench.ts";
import { ControllerWorld, instanceCount, instanceRow, many, now, savedWith } from "./controller-world.ts";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

/**
 * What one session and one linked device cost the controller, and how fast it places: its own pass against sorting the
 * instances for each session, as one would write it first. Heap without sockets: those are the same for any controller.
 */
export async function run(size: Size): Promise<BenchResult> {
  const count = size === "full" ? 20_000 : 2_000;
  const against = "sorting the instances for each session";
  const [placedMs, placed] = placing(count, size);
  const [sortedMs, sorted] = sorting(count, size);
  const { arrivalsPerSecond, perLink, loads } = arriving(count);
  return {
    rows: [
      { what: against, value: (count / sortedMs) * 1000, unit: "placements/s" },
      { what: "a pass", value: (count / placedMs) * 1000, unit: "placements/s", against },
      { what: "devices linked, placed, attached", value: arrivalsPerSecond, unit: "devices/s" },
      {
        what: "heap of an attached session",
        value: perSession(count),
        unit: "bytes",
        budget: { atMost: 1024 },
      },
      { what: "heap of a device that is away", value: perDevice(count), unit: "bytes" },
      { what: "heap of a linked device with its session", value: perLink, unit: "bytes" },
    ],
    work: workHash([placed, sorted, loads]),
  };
}

/** A pass over a new group: all sessions at once. */
function placing(count: number, size: Size): readonly [number, readonly number[]] {
  const { model, fleet } = emptyGroup();
  let loads = new Map<string, number>();
  const ms = best(size === "full" ? 5 : 1, () => {
    const placement = new Placement(model, fleet, 0);
    loads = new Map();
    return timed(() => {
      for (let i = 0; i < count; i++) {
        const place = placement.take({ group: "staff" });
        if (typeof place !== "string") loads.set(place.instance, (loads.get(place.instance) ?? 0) + 1);
      }
    });
  });
  return [ms, [...loads.values()].sort((a, b) => a - b)];
}

function sorting(count: number, size: Size): readonly [number, readonly number[]] {
  let loads: number[] = [];
  const ms = best(size === "full" ? 5 : 1, () => {
    const instances = many(instanceCount, (i) => ({ id: i, load: 0, free: 384, isActive: true }));
    const spent = timed(() => {
      for (let i = 0; i < count; i++) {
        const [least] = instances
          .filter(({ isActive, free }) => isActive && free > 0)
          .sort((a, b) => a.load - b.load);
        if (least === undefined) continue;
        least.load += 1;
        least.free -= 1;
      }
    });
    loads = instances.map(({ load }) => load);
    return spent;
  });
  return [ms, loads.sort((a, b) => a - b)];
}

function emptyGroup(): { model: Model; fleet: Fleet } {
  const model = new Model();
  const fleet = new Fleet();
  const { connector } = savedWith(0, 0);
  for (const row of connector) model.apply(put("connector", row));
  for (let i = 0; i < instanceCount; i++) {
    const row = instanceRow(i);
    model.apply(put("instance", row));
    fleet.instanceLinked(row.id, i, now);
    const facts = fleet.instance(row.id);
    if (facts === undefined) continue;
    facts.report = {
      status: "Active",
      conditions: [],
      version: "0.1.0",
      upSinceMs: now.wallMs,
      managementIp: row.managementIp,
      activeAgents: 0,
      endpoint: `${row.managementIp}:51820`,
    };
    facts.pools.set("Pool1", { total: 384, leased: 0, cooling: 0, quarantined: 0, free: 384 });
  }
  return { model, fleet };
}

function arriving(count: number) {
  const world = new ControllerWorld(savedWith(count, 0));
  world.linkInstances();
  const before = heapBytes();
  const ms = timed(() => {
    for (let i = 0; i < count; i++) world.linkDevice(i);
  });
  const perLink = Math.max(1, (heapBytes() - before) / count);
  const { attached } = world.core.metricsFacts().sessions;
  if (attached !== count) throw new Error(`${attached} of ${count} devices are attached`);
  const loads = world.core
    .viewsAt(now)
    .instances()
    .map(({ sessions }) => sessions);
  return { arrivalsPerSecond: (count / ms) * 1000, perLink, loads };
}

function perSession(count: number): number {
  const without = heldBy(() => new ControllerWorld(savedWith(count, 0)));
  const withThem = heldBy(() => new ControllerWorld(savedWith(count, count)));
  return Math.max(1, (withThem - without) / count);
}

function perDevice(count: number): number {
  const without = heldBy(() => new ControllerWorld(savedWith(0, 0)));
  const withThem = heldBy(() => new ControllerWorld(savedWith(count, 0)));
  return Math.max(1, (withThem - without) / count);
}

function heldBy(make: () => ControllerWorld): number {
  const before = heapBytes();
  const world = make();
  const bytes = heapBytes() - before;
  // Held until here.
  world.core.nextDeadline();
  return bytes;
}

function heapBytes(): number {
  collect();
  collect();
  return process.memoryUsage().heapUsed;
}
