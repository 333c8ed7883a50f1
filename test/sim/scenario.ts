import type { FailureCode } from "../../protocol/failures.ts";
import type { DataPathFault, DiskFault } from "./instance-host.ts";
import type { MetadataFault, NoticeKind } from "./metadata.ts";
import { Random } from "./random.ts";
import type { Shape } from "./shape.ts";
import { type Mix, mixOf } from "./swarm.ts";

/** Which way nothing gets through. */
export type Way = "out" | "in" | "both";

/** What happens to the world, and for how long: an event that is left out leaves the others as they are. */
export type Event = { readonly atMs: number; readonly forMs: number } & (
  | { readonly is: "agent killed" | "agent stopped" | "host crashed"; readonly instance: number }
  /** The process ends and its database is damaged; the next one starts without. */
  | { readonly is: "agent's store lost"; readonly instance: number }
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
  | { readonly is: "drained" | "drained by hand" | "removed" | "told to leave"; readonly instance: number }
  | { readonly is: "noticed by AWS"; readonly instance: number; readonly notice: NoticeKind }
  | { readonly is: "passwords revoked" | "codes revoked" | "failed over" | "restarted one by one" }
  | { readonly is: "password copied"; readonly instance: number; readonly to: number }
  | { readonly is: "controller killed"; readonly isWritten: boolean }
  /** When it is over, the controller starts with the database as it was when it began; `twice`: also halfway there. */
  | { readonly is: "controller restored"; readonly twice: boolean }
  | { readonly is: "controller's clock set"; readonly byMs: number }
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
  | { readonly is: "service changed" | "service removed" }
  | { readonly is: "leases changed"; readonly minutes: number }
);

export interface Scenario {
  readonly shape: Shape;
  readonly events: readonly Event[];
  /** From here on nothing goes wrong any more. */
  readonly healAtMs: number;
}

export type Kind = Event["is"];

export function scenarioOf(shape: Shape): Scenario {
  const random = new Random(shape.seed).fork("events");
  const mix = mixOf(random, shape);
  const events = Array.from({ length: mix.count }, () => {
    const atMs = mix.beginMs + random.below(mix.lastsMs);
    return eventOf(random, shape, mix, atMs);
  }).sort((a, b) => a.atMs - b.atMs);
  return { shape, events, healAtMs: mix.beginMs + mix.lastsMs + 2_000 };
}

function eventOf(random: Random, { instances, devices }: Shape, mix: Mix, atMs: number): Event {
  const is = mix.kind(random);
  const forMs = mix.forMs(random);
  const when = { atMs, forMs };
  const instance = mix.instance ?? 1 + random.below(instances);
  const device = mix.device ?? 1 + random.below(devices);
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
    case "told to leave":
    case "agent's store lost":
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
      return {
        ...when,
        is,
        instance,
        fault: random.pick(["failing", "silent", "stale", "lying", "flapping", "flapping"] as const),
      };
    case "noticed by AWS":
      return { ...when, is, instance, notice: random.pick(["spot", "rebalance", "autoscaling"] as const) };
    case "data path":
      return { ...when, is, instance, fault: random.pick(["failing", "slow", "unreadable"] as const) };
    case "clock set":
      return { ...when, is, instance, byMs: random.between(-3_600_000, 3_600_000) };
    case "controller's clock set":
      return { ...when, is, byMs: random.between(-3_600_000, 3_600_000) };
    case "leases changed":
      return { ...when, is, minutes: random.pick([1, 2, 60]) };
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
    case "service removed":
    case "failed over":
    case "restarted one by one":
    case "passwords revoked":
    case "codes revoked":
      return { ...when, is };
    case "controller restored":
      return { ...when, is, twice: random.chance(0.5) };
  }
}
