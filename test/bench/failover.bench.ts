import { Judge } from "../../controller/core/judge.ts";
import { Peers } from "../../controller/core/peers.ts";
import { Placement } from "../../controller/core/placement.ts";
import { Placer } from "../../controller/core/placer.ts";
import { coreDefaults } from "../../controller/core/settings.ts";
import { type BenchResult, best, type Size, timed, workHash } from "./bench.ts";
import { ControllerWorld, idOf, instanceCount, many, now, savedWith } from "./controller-world.ts";
import { modelGroup } from "./model-group.ts";
import { SortedPlacement } from "./sorted-placement.ts";

/** Addresses that each of the other instances has left: more than the lost one's sessions need. */
const free = 136;

/**
 * One of 64 instances is lost: where its sessions go, decided by the controller's placement and by sorting the instances
 * for each session, on the same group and with the same spread; the whole pass that decides it; and from the decision until
 * every session is granted elsewhere and every device is told, in the core. Frames are made and read, nothing is sent over
 * a network or written to a disk.
 */
export async function run(size: Size): Promise<BenchResult> {
  const each = size === "full" ? 1_400 : 100;
  const times = size === "full" ? 5 : 1;
  const sorted = decided(times, () => sorting(each));
  const placed = decided(times, () => placing(each));
  if (`${sorted.loads}` !== `${placed.loads}`) throw new Error("the two spread the sessions otherwise");
  const passed = decided(times, () => passing(each));
  const moved = decided(size === "full" ? 3 : 1, () => moving(each));
  const of = `an instance's ${each} sessions of ${each * instanceCount}`;
  const against = `places for ${of}, sorting the instances for each`;
  return {
    rows: [
      { what: against, value: sorted.ms, unit: "ms" },
      { what: "the same places by the controller's placement", value: placed.ms, unit: "ms", against },
      {
        what: "the whole pass: evidence, places, epochs, rows, audit",
        value: passed.ms,
        unit: "ms",
        against,
      },
      {
        what: `${of} moved, from decision to last attachment`,
        value: moved.ms,
        unit: "ms",
        budget: { atMost: 500 },
      },
    ],
    work: workHash([placed.loads, passed.loads, moved.loads]),
  };
}

interface Decided {
  readonly ms: number;
  /** Sessions by instance that is left, the fewest first. */
  readonly loads: readonly number[];
}

function decided(times: number, once: () => Decided): Decided {
  let loads: readonly number[] = [];
  const ms = best(times, () => {
    const { ms, loads: found } = once();
    loads = found.toSorted((a, b) => a - b);
    return ms;
  });
  return { ms, loads };
}

function sorting(each: number): Decided {
  const others = many(instanceCount - 1, (id) => ({ id, load: each, free }));
  const placement = new SortedPlacement(others);
  const ms = timed(() => {
    for (let i = 0; i < each; i++) placement.take();
  });
  return { ms, loads: others.map(({ load }) => load) };
}

function placing(each: number): Decided {
  const { model, fleet } = modelGroup(savedWith(each * instanceCount, each * instanceCount), free);
  const lost = idOf("1111", 0);
  const loads = new Map([...model.instances.keys()].map((id) => [id, model.sessionsOn(id).size]));
  loads.delete(lost);
  const ms = timed(() => {
    const placement = new Placement(model, fleet, 0, (id) => (id === lost ? "closed" : "open"));
    for (let i = 0; i < each; i++) {
      const place = placement.take({ group: "staff" });
      if (typeof place !== "string") loads.set(place.instance, (loads.get(place.instance) ?? 0) + 1);
    }
  });
  return { ms, loads: [...loads.values()] };
}

function passing(each: number): Decided {
  const { model, fleet } = modelGroup(savedWith(each * instanceCount, each * instanceCount), free);
  const lost = idOf("1111", 0);
  const judge = new Judge({ model, fleet, peers: new Peers() }, coreDefaults, now);
  const placer = new Placer({ model, fleet, judge }, () => "", coreDefaults, now);
  judge.run(now);
  fleet.instanceLeaves(lost, "shutdown");
  judge.look(lost);
  const loads = new Map([...model.instances.keys()].map((id) => [id, model.sessionsOn(id).size]));
  loads.delete(lost);
  const ms = timed(() => {
    for (const id of judge.run(now).changed) placer.lookAt(id);
    if (!placer.isDue(now)) throw new Error("nothing to decide");
    for (const { to = "" } of placer.pass(now).moves) loads.set(to, (loads.get(to) ?? 0) + 1);
  });
  return { ms, loads: [...loads.values()] };
}

function moving(each: number): Decided {
  const world = new ControllerWorld(savedWith(each * instanceCount, each * instanceCount));
  world.linkInstances(each);
  for (let i = 0; i < each; i++) world.linkDevice(i * instanceCount);
  const ms = timed(() => world.sayGoodbye(0));
  const { totals, sessions } = world.core.metricsFacts();
  if (totals.moved.goodbye !== each || sessions.attached !== each * instanceCount)
    throw new Error(`${totals.moved.goodbye} of ${each} moved, ${sessions.attached} attached`);
  const instances = world.core.viewsAt(now).instances();
  return { ms, loads: instances.map(({ sessions }) => sessions) };
}
