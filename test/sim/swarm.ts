import type { Random } from "./random.ts";
import type { Kind } from "./scenario.ts";
import type { Shape } from "./shape.ts";

/** What goes wrong in one world, how much of it, and whom it hits. */
export interface Mix {
  readonly beginMs: number;
  readonly lastsMs: number;
  readonly count: number;
  /** The one instance or device that all of it hits, where it is one. */
  readonly instance: number | undefined;
  readonly device: number | undefined;
  kind(random: Random): Kind;
  forMs(random: Random): number;
}

/** How often what happens, where everything does. */
const weights: Readonly<Record<Kind, number>> = {
  "agent killed": 6,
  "agent stopped": 2,
  "agent's store lost": 2,
  "host crashed": 4,
  "agent dies at write": 4,
  "instance unlinked": 5,
  "instance dark": 5,
  "instance gone": 3,
  "instance's link cut": 3,
  "kernel changed by hand": 2,
  disk: 4,
  metadata: 5,
  "data path": 4,
  "clock set": 1,
  "noticed by AWS": 3,
  "prefixes taken": 2,
  "pools taken": 2,
  "pools and prefixes taken": 1,
  "pools moved": 1,
  drained: 4,
  "drained by hand": 2,
  "told to leave": 2,
  removed: 2,
  "password copied": 2,
  "passwords revoked": 1,
  "codes revoked": 1,
  "failed over": 2,
  "restarted one by one": 2,
  "controller killed": 6,
  "controller restored": 3,
  "controller's store": 3,
  "controller's clock set": 1,
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
  "service removed": 1,
  "leases changed": 1,
};

/**
 * Swarm testing (Groce et al., ISSTA 2012): where everything goes wrong at once, one fault hides another and most
 * combinations never come up. So most worlds have few kinds of trouble, each with a weight of its own, and some of them
 * hit always the same host.
 */
export function mixOf(random: Random, { instances, devices }: Shape): Mix {
  // Some worlds are in trouble from the first second on, others when everything is well.
  const beginMs = random.chance(0.3) ? 0 : 8_000;
  // Few last long enough for leases to run out.
  const isLong = random.chance(0.06);
  const lastsMs = isLong ? random.between(80, 150) * 1_000 : random.between(5, 40) * 1_000;
  const kinds = random.chance(0.25) ? everything : fewOf(random);
  const durations = isLong ? longDurationsMs : durationsMs;
  return {
    ...{ beginMs, lastsMs, count: random.between(1, 24) },
    instance: random.chance(0.25) ? 1 + random.below(instances) : undefined,
    device: random.chance(0.15) ? 1 + random.below(devices) : undefined,
    kind: (draw) => kinds[draw.below(kinds.length)] ?? "agent killed",
    forMs: (draw) => draw.pick(durations) + draw.below(1_000),
  };
}

const durationsMs = [200, 1_500, 5_000, 20_000, 40_000] as const;
const longDurationsMs = [1_500, 10_000, 65_000, 80_000, 100_000] as const;

const everything = Object.entries(weights).flatMap(([kind, weight]) =>
  Array<Kind>(weight).fill(kind as Kind),
);

/** Drawn by their weights, so that what is frequent is in more worlds; then each as much as another draw says. */
function fewOf(random: Random): readonly Kind[] {
  const chosen = new Set<Kind>();
  const wanted = random.between(1, 7);
  while (chosen.size < wanted) chosen.add(everything[random.below(everything.length)] ?? "agent killed");
  return [...chosen].flatMap((kind) => Array<Kind>(random.pick([1, 2, 5])).fill(kind));
}
