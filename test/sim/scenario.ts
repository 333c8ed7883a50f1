import type { FailureCode } from "../../protocol/failures.ts";
import type { DataPathFault, DiskFault, MetadataFault } from "./instance-host.ts";
import { Random } from "./random.ts";
import type { Shape } from "./shape.ts";

/** Which way nothing gets through. */
export type Way = "out" | "in" | "both";

/** What happens to the world, and for how long: an event that is left out leaves the others as they are. */
export type Event = { readonly atMs: number; readonly forMs: number } & (
  | { readonly is: "agent killed" | "agent stopped" | "host crashed"; readonly instance: number }
  | { readonly is: "agent dies at write"; readonly instance: number; readonly when: "before" | "after" }
  | {
      readonly is: "instance unlinked" | "instance dark" | "instance gone";
      readonly instance: number;
      readonly way: Way;
    }
  | { readonly is: "instance's link cut" | "kernel changed by hand"; readonly instance: number }
  | { readonly is: "disk"; readonly instance: number; readonly fault: DiskFault }
  | { readonly is: "metadata"; readonly instance: number; readonly fault: MetadataFault }
  | { readonly is: "data path"; readonly instance: number; readonly fault: DataPathFault }
  | { readonly is: "clock set"; readonly instance: number; readonly byMs: number }
  | { readonly is: "prefixes taken" | "pools taken" | "pools and prefixes taken"; readonly instance: number }
  | { readonly is: "pools moved"; readonly instance: number; readonly to: number }
  | { readonly is: "drained" | "drained by hand" | "removed"; readonly instance: number }
  | { readonly is: "password copied"; readonly instance: number; readonly to: number }
  | { readonly is: "controller killed"; readonly isWritten: boolean }
  | { readonly is: "controller's store"; readonly fault: "failing" | "slow"; readonly why: FailureCode }
  | {
      readonly is: "device unlinked" | "device dark" | "device gone";
      readonly device: number;
      readonly way: Way;
    }
  | { readonly is: "device killed" | "device's link cut" | "device's disk full"; readonly device: number }
  | {
      readonly is: "device's tunnel fails" | "logged out" | "device removed" | "session ended";
      readonly device: number;
    }
  | { readonly is: "service changed" }
);

export interface Scenario {
  readonly shape: Shape;
  readonly events: readonly Event[];
  /** From here on nothing goes wrong any more. */
  readonly healAtMs: number;
}

type Kind = Event["is"];

/** How often what happens. */
const weights: Readonly<Record<Kind, number>> = {
  "agent killed": 6,
  "agent stopped": 2,
  "host crashed": 4,
  "agent dies at write": 4,
  "instance unlinked": 5,
  "instance dark": 5,
  "instance gone": 3,
  "instance's link cut": 3,
  "kernel changed by hand": 2,
  disk: 4,
  metadata: 4,
  "data path": 4,
  "clock set": 1,
  "prefixes taken": 2,
  "pools taken": 2,
  "pools and prefixes taken": 1,
  "pools moved": 1,
  drained: 4,
  "drained by hand": 2,
  removed: 2,
  "password copied": 2,
  "controller killed": 6,
  "controller's store": 3,
  "device unlinked": 4,
  "device dark": 4,
  "device gone": 3,
  "device killed": 4,
  "device's link cut": 2,
  "device's disk full": 2,
  "device's tunnel fails": 2,
  "logged out": 5,
  "device removed": 1,
  "session ended": 3,
  "service changed": 1,
};

const kinds = Object.entries(weights).flatMap(([kind, weight]) => Array<Kind>(weight).fill(kind as Kind));

export function scenarioOf(shape: Shape): Scenario {
  const random = new Random(shape.seed).fork("events");
  // Some worlds are in trouble from the first second on, others when everything is well.
  const beginMs = random.chance(0.3) ? 0 : 8_000;
  // Few last long enough for leases to run out.
  const isLong = random.chance(0.06);
  const lastsMs = random.between(8, 45) * 1_000 + (isLong ? 90_000 : 0);
  const count = random.between(2, 24);
  const events = Array.from({ length: count }, () => {
    const atMs = beginMs + random.below(lastsMs);
    const event = eventOf(random, shape, atMs);
    return isLong && random.chance(0.3) ? { ...event, forMs: event.forMs + 70_000 } : event;
  }).sort((a, b) => a.atMs - b.atMs);
  return { shape, events, healAtMs: beginMs + lastsMs + 2_000 };
}

function eventOf(random: Random, { instances, devices }: Shape, atMs: number): Event {
  const is = kinds[random.below(kinds.length)] ?? "agent killed";
  const forMs = random.pick([200, 1_500, 5_000, 20_000, 40_000]) + random.below(1_000);
  const when = { atMs, forMs };
  const instance = 1 + random.below(instances);
  const device = 1 + random.below(devices);
  const to = 1 + (instance % instances);
  const way = random.pick(["out", "in", "both"] as const);
  const why = random.pick(["store.full", "store.failing"] as const);
  switch (is) {
    case "agent killed":
    case "agent stopped":
    case "host crashed":
    case "instance's link cut":
    case "kernel changed by hand":
    case "prefixes taken":
    case "pools taken":
    case "pools and prefixes taken":
    case "drained":
    case "drained by hand":
    case "removed":
      return { ...when, is, instance };
    case "agent dies at write":
      return { ...when, is, instance, when: random.pick(["before", "after"] as const) };
    case "instance unlinked":
    case "instance dark":
    case "instance gone":
      return { ...when, is, instance, way };
    case "disk": {
      const fault = random.pick(["failing", "failing late", "slow"] as const);
      return { ...when, is, instance, fault: fault === "slow" ? { is: fault } : { is: fault, why } };
    }
    case "metadata":
      return { ...when, is, instance, fault: random.pick(["failing", "silent", "stale", "lying"] as const) };
    case "data path":
      return { ...when, is, instance, fault: random.pick(["failing", "slow", "unreadable"] as const) };
    case "clock set":
      return { ...when, is, instance, byMs: random.between(-3_600_000, 3_600_000) };
    case "pools moved":
    case "password copied":
      return { ...when, is, instance, to };
    case "controller killed":
      return { ...when, is, isWritten: random.chance(0.5) };
    case "controller's store":
      return { ...when, is, fault: random.pick(["failing", "slow"] as const), why };
    case "device unlinked":
    case "device dark":
    case "device gone":
      return { ...when, is, device, way };
    case "device killed":
    case "device's link cut":
    case "device's disk full":
    case "device's tunnel fails":
    case "logged out":
    case "device removed":
    case "session ended":
      return { ...when, is, device };
    case "service changed":
      return { ...when, is };
  }
}
