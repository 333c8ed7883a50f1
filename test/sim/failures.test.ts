import { describe, expect, test } from "vitest";
import type { DeviceHost } from "./device-host.ts";
import { happen } from "./happen.ts";
import type { Event } from "./scenario.ts";
import type { Shape } from "./shape.ts";
import { World } from "./world.ts";

const shape: Shape = {
  ...{ seed: 1, mode: "active-active", instances: 3, devices: 9, groups: ["staff"], addresses: "ipv4" },
  ...{ ipv6Length: 126, coolDownMs: 9_000, leaseMinutes: 60, delayMs: { min: 1, max: 10 }, loss: 0 },
};

type Fault = Event extends infer E
  ? E extends { instance: number }
    ? Omit<E, "atMs" | "forMs">
    : never
  : never;

/** All sessions of the instance that fails, with what the controller is to think of it, and why they move. */
interface Expected {
  readonly moved: "all" | "none";
  readonly verdict: string;
  /** Nobody sends anything, so that a device looks for itself every two seconds. */
  readonly gapMs: number;
}

const nobody = { moved: "none", gapMs: 0 } as const;
/** What the product promises for a silent death. */
const all = { moved: "all", gapMs: 4_000 } as const;

const cases: readonly (readonly [string, readonly Fault[], Expected])[] = [
  ["its host crashes", [{ is: "host crashed", instance: 1 }], { ...all, verdict: "gone: devices" }],
  [
    "its host crashes, and its link is cut at once",
    [
      { is: "instance's link cut", instance: 1 },
      { is: "host crashed", instance: 1 },
    ],
    { ...all, gapMs: 2_700, verdict: "gone: devices" },
  ],
  [
    "its host is a black hole",
    [{ is: "instance gone", instance: 1, way: "both" }],
    { ...all, verdict: "gone: devices" },
  ],
  [
    "nothing gets out of it",
    [{ is: "instance gone", instance: 1, way: "out" }],
    { ...all, verdict: "gone: devices" },
  ],
  [
    "nothing gets in to it",
    [{ is: "instance gone", instance: 1, way: "in" }],
    { ...all, verdict: "gone: devices" },
  ],
  [
    "its data path is dead under a living agent",
    [{ is: "instance dark", instance: 1, way: "both" }],
    { ...all, verdict: "gone: devices" },
  ],
  [
    "its data path is dead one way under a living agent",
    [{ is: "instance dark", instance: 1, way: "out" }],
    { ...all, verdict: "gone: devices" },
  ],
  ["its agent is killed", [{ is: "agent killed", instance: 1 }], { ...nobody, verdict: "gone: link-lost" }],
  [
    "its agent cannot reach the controller",
    [{ is: "instance unlinked", instance: 1, way: "out" }],
    { ...nobody, verdict: "gone: link-lost" },
  ],
  [
    "its agent cannot hear the controller",
    [{ is: "instance unlinked", instance: 1, way: "in" }],
    { ...nobody, verdict: "gone: link-lost" },
  ],
  ["its link is cut once", [{ is: "instance's link cut", instance: 1 }], { ...nobody, verdict: "serving" }],
];

const places: Readonly<Record<string, (i: number) => string>> = {
  "at home, each": (i) => `203.0.${i}.1`,
  "in one office": (i) => `198.51.100.${i}`,
};

describe.each(Object.keys(places))("devices are %s, and", (place) => {
  describe.each([1, 2])("seed %i", (seed) => {
    test.each(cases)("%s", (_, faults, expected) => {
      const world = begin({ ...shape, seed }, places[place]);
      const before = sessionsOf(world);
      const there = world.devices.filter((device) => carries(world, device) === "instance 1");
      expect(there).toHaveLength(3);
      const ends = faults.map((fault) => happen(world, { ...fault, atMs: 0, forMs: 0 } as Event));
      const gaps = watch(world, 22_000);
      expect(verdictOf(world)).toBe(expected.verdict);
      for (const end of ends) end();
      const after = watch(world, 40_000);

      const moved = sessionsOf(world).filter(({ epoch }, i) => epoch !== before[i]?.epoch);
      expect(moved).toHaveLength(expected.moved === "all" ? 3 : 0);
      expect(
        moved.every(({ epoch }) => epoch === 2),
        "once, and nobody goes back",
      ).toBe(true);
      for (const device of world.devices) {
        const mayLose = there.includes(device) ? expected.gapMs : 0;
        expect(gaps.get(device), device.name).toBeLessThanOrEqual(mayLose);
        expect(after.get(device), `${device.name} when it is over`).toBe(0);
      }
    });
  });
});

test("with every instance unreachable for a while nobody is sent around, and everybody is served when they are back", () => {
  const world = begin(shape, places["at home, each"]);
  const before = sessionsOf(world);
  const ends = [1, 2, 3].map((instance) =>
    happen(world, { atMs: 0, forMs: 0, is: "instance gone", instance, way: "both" }),
  );
  watch(world, 20_000);
  for (const end of ends) end();
  watch(world, 60_000);
  for (const device of world.devices) expect(carries(world, device), device.name).toBeDefined();
  const moves = sessionsOf(world).map(({ epoch }, i) => epoch - (before[i]?.epoch ?? 0));
  expect(Math.max(...moves), "each instance was tried once at most").toBeLessThanOrEqual(2);
});

test("with the controller's own network gone nobody is moved", () => {
  const world = begin(shape, places["at home, each"]);
  const before = sessionsOf(world);
  const clients = [...world.instances, ...world.devices];
  for (const client of clients) Object.assign(client.control, { in: true, out: true });
  const gaps = watch(world, 90_000);
  for (const client of clients) {
    Object.assign(client.control, { in: false, out: false });
    world.network.changed(client);
  }
  watch(world, 90_000);
  expect(sessionsOf(world)).toEqual(before);
  expect(Math.max(...gaps.values())).toBe(0);
});

test("a controller that dies in the middle of it moves them when it is back", () => {
  const world = begin(shape, places["at home, each"]);
  const end = happen(world, { atMs: 0, forMs: 0, is: "instance gone", instance: 1, way: "both" });
  world.agenda.runUntil(world.agenda.nowMs + 1_500);
  world.controller.kill(false);
  world.agenda.runUntil(world.agenda.nowMs + 2_000);
  world.controller.start();
  const gaps = watch(world, 40_000);
  // Their links back off for up to a second meanwhile, and the group is given three to return.
  expect(Math.max(...gaps.values())).toBeLessThanOrEqual(8_000);
  for (const device of world.devices) expect(carries(world, device)).toMatch(/instance [23]/);
  end();
});

function begin(of: Shape, addressOf: ((i: number) => string) | undefined): World {
  const world = new World(of);
  for (const [i, device] of world.devices.entries()) Object.assign(device, { address: addressOf?.(i + 1) });
  world.start();
  world.agenda.runUntil(12_000);
  for (const device of world.devices) expect(carries(world, device), device.name).toBeDefined();
  return world;
}

/** The name of the instance by which the device's packets go both ways. */
function carries(world: World, device: DeviceHost): string | undefined {
  const kernel = device.kernel.carrier();
  return world.instances.find((host) => host.kernel === kernel)?.name;
}

/** By device, the longest time without a path. */
function watch(world: World, forMs: number): ReadonlyMap<DeviceHost, number> {
  const { agenda, devices } = world;
  const endMs = agenda.nowMs + forMs;
  const worst = new Map(devices.map((device) => [device, 0]));
  const since = new Map<DeviceHost, number>();
  for (; agenda.nowMs < endMs; agenda.runUntil(agenda.nowMs + 20)) {
    for (const device of devices) {
      if (carries(world, device) !== undefined) {
        since.delete(device);
        continue;
      }
      const sinceMs = since.get(device) ?? agenda.nowMs;
      since.set(device, sinceMs);
      worst.set(device, Math.max(worst.get(device) ?? 0, agenda.nowMs - sinceMs));
    }
  }
  return worst;
}

function sessionsOf(world: World): readonly { readonly device: string; readonly epoch: number }[] {
  const sessions = world.controller.tables.all("session").map(({ device, epoch }) => ({ device, epoch }));
  return sessions.toSorted((a, b) => a.device.localeCompare(b.device));
}

function verdictOf(world: World): string {
  const [host] = world.instances;
  const name = host && world.rowOf(host)?.name;
  const { core, now } = world.controller;
  const view = name === undefined ? undefined : core?.viewsAt(now).instance(name);
  if (view === undefined) throw new Error("it is enrolled");
  const { is, why } = view.judgement;
  return why === null ? is : `${is}: ${why}`;
}
