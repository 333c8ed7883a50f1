import { check } from "./finding.ts";
import { Random } from "./random.ts";
import { entriesOf } from "./reach.ts";
import { shapeOf } from "./shape.ts";
import { World } from "./world.ts";

/** One round is over when everybody has come back from it. */
const roundMs = 8_000;
const rounds = { before: 8, between: 24 };
/** Leases rest, doubts fade, hold-downs end. */
const restMs = 120_000;
/** What may be there at one time and not at another. */
const slack = 6;

/**
 * Invariant 14: devices, links, sessions, drains, prefixes and services come and go, for minutes and three times as long
 * again, while no process ends. What every core keeps is counted at rest after either. Answers how many collections there are.
 */
export function checkGrowth(seed: number): number {
  // Four addresses per pool: each address that was ever used has a row, so there are to be no more of them.
  const few = { groups: ["staff"], addresses: "both", ipv6Length: 126 } as const;
  const world = new World({ ...shapeOf(seed), ...few, mode: "active-active", loss: 0, leaseMinutes: 1 });
  const random = new Random(seed).fork("growth");
  world.start();
  world.agenda.runUntil(10_000);
  churn(world, random, rounds.before);
  const before = count(world);
  churn(world, random, rounds.between);
  const after = count(world);
  const grown = [...after.sizes].flatMap(([at, entries]) => {
    const had = before.sizes.get(at) ?? 0;
    // Used passwords and codes are kept for who wants to know who came in with them: as many as administrators make.
    const isRecord = after.records.some((rows, i) => rows === entries && before.records[i] === had);
    return entries <= had + slack || isRecord ? [] : [`${at} from ${had} to ${entries}`];
  });
  check(grown.length === 0, 14, () => `seed ${seed}: grown are ${grown.join("; ")}`);
  return after.sizes.size;
}

function churn(world: World, random: Random, count: number): void {
  const { agenda, devices, instances, network, controller, wishes } = world;
  for (let i = 0; i < count; i++) {
    const device = devices[random.below(devices.length)];
    const at = random.below(instances.length);
    const [instance, wish] = [instances[at], wishes[at]];
    const session = controller.tables.all("session")[0];
    device?.want("detached");
    if (session !== undefined) world.command({ command: "session.end", session: session.id });
    for (const one of devices) if (random.chance(0.5)) network.cut(one);
    if (instance !== undefined && random.chance(0.5)) network.cut(instance);
    instance?.post({ kind: "verify" });
    const isDrained = random.chance(0.3);
    if (wish !== undefined) wish.isDrained = isDrained;
    if (isDrained) instance?.drain("admin", true);
    const removed = controller.tables.all("device")[random.below(devices.length)];
    if (removed !== undefined && random.chance(0.5)) {
      world.command({ command: "device.remove", device: removed.id });
    }
    agenda.runUntil(agenda.nowMs + roundMs / 2);
    device?.want("attached");
    if (wish !== undefined) wish.isDrained = false;
    instance?.drain("admin", false);
    agenda.runUntil(agenda.nowMs + roundMs / 2);
  }
  agenda.runUntil(agenda.nowMs + restMs);
}

interface Count {
  /** By core and by the way to the collection. */
  readonly sizes: ReadonlyMap<string, number>;
  readonly records: readonly number[];
}

function count({ controller, instances, devices, network }: World): Count {
  const sizes = new Map<string, number>();
  const add = (name: string, core: object | undefined) => {
    for (const [at, entries] of core === undefined ? [] : entriesOf(core)) sizes.set(`${name}${at}`, entries);
  };
  add("controller", controller.core);
  for (const host of instances) {
    add(host.name, host.agent);
    sizes.set(`peers of ${host.name}`, host.kernel.peers.size);
    sizes.set(`rows of ${host.name}`, host.disk.leases.size + host.disk.desired.size);
  }
  for (const host of devices) {
    for (const [i, { core }] of host.processes.entries()) add(`${host.name}, core ${i}`, core);
  }
  sizes.set("connections", network.size);
  const { tables } = controller;
  return { sizes, records: [tables.all("otp").length, tables.all("deviceCode").length] };
}
