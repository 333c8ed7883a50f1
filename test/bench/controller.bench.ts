import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Placement } from "../../controller/core/placement.ts";
import { type BenchResult, best, type Size, timed, workHash } from "./bench.ts";
import { ControllerWorld, instanceCount, many, now, savedWith } from "./controller-world.ts";
import { modelGroup } from "./model-group.ts";
import { SortedPlacement } from "./sorted-placement.ts";

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
  const { model, fleet } = modelGroup(savedWith(0, 0), 384);
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
    const sorted = new SortedPlacement(many(instanceCount, (id) => ({ id, load: 0, free: 384 })));
    const spent = timed(() => {
      for (let i = 0; i < count; i++) sorted.take();
    });
    loads = sorted.instances.map(({ load }) => load);
    return spent;
  });
  return [ms, loads.sort((a, b) => a - b)];
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
