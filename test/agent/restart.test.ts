import { describe, expect, test } from "vitest";
import { configured, ipv4Prefix, ipv6Prefix, known } from "./fixture.ts";
import { enrolledDisk, World } from "./world.ts";

const id = "00000000-0000-4000-8000-00000000a001";
const key = "session/00000000-0000-4000-8000-000000001001";
const session = {
  ...{ epoch: 1, device: "00000000-0000-4000-8000-000000005001", user: "ana", pool: "pool1" },
  wireguardKey: "W".repeat(43),
};

/** Active, with one session. */
function serving(): World {
  const world = new World(enrolledDisk());
  world.reading = known(ipv4Prefix, ipv6Prefix);
  return world.want({ ...configured, [key]: session }).run({ kind: "start" });
}

interface Told {
  readonly status: string;
  readonly process: string;
  readonly drain?: { readonly reasons: string[]; readonly sinceMs: number };
}
const reported = (world: World) => world.observed.get("instance") as Told;
const restarts = (world: World) => world.done.filter((effect) => effect.do === "restart");
const goodbyes = (world: World) => world.sent.filter(({ type }) => type === "goodbye");

function told(world: World, go: boolean, process = reported(world).process): World {
  return world.want({ restart: { id, process, sinceMs: 5, go } });
}

describe("a rolling restart", () => {
  test("drains the process that it names for a reason of its own, and ends it when told to go, once", () => {
    const world = serving();
    told(world, false);
    expect(reported(world)).toMatchObject({ status: "Draining", drain: { reasons: ["restart"] } });
    expect(world.status).toMatchObject({ status: "Draining", drain: ["restart"], sessions: 1 });
    world.pass(120_000);
    expect(restarts(world)).toEqual([]);
    world.want({ [key]: undefined });
    expect(restarts(world), "the controller says when").toEqual([]);
    told(world, true);
    expect(restarts(world)).toEqual([{ do: "restart", id }]);
    expect(reported(world).status, "it takes nobody any more").toBe("Draining");
    // Whatever is said again, and however long its end takes.
    told(world, false);
    told(world, true);
    world.pass(60_000);
    expect(restarts(world)).toHaveLength(1);
    world.run({ kind: "stop" });
    expect(goodbyes(world)).toEqual([]);
  });

  test("is nothing to the next process, which finds it on its disk and hears it again", () => {
    const world = serving();
    const { process } = reported(world);
    told(world, true);
    expect(restarts(world)).toHaveLength(1);
    world.restart().run({ kind: "start" });
    expect(reported(world).process).not.toBe(process);
    expect(reported(world)).toMatchObject({ status: "Active" });
    expect(reported(world)).not.toHaveProperty("drain");
    told(world, true, process);
    told(world, false, process);
    world.pass(60_000);
    expect(restarts(world)).toHaveLength(1);
    expect(reported(world).status).toBe("Active");
  });

  test("ends with its word, and ends nobody else's drain", () => {
    const world = serving();
    told(world, false);
    world.run({ kind: "hold", reason: "cli", isOn: true }).want({ drain: { sinceMs: 1 } });
    expect(reported(world).drain?.reasons.toSorted()).toEqual(["admin", "cli", "restart"]);
    world.want({ restart: undefined });
    expect(reported(world).drain?.reasons.toSorted()).toEqual(["admin", "cli"]);
    world.want({ drain: undefined }).run({ kind: "hold", reason: "cli", isOn: false });
    expect(reported(world).status).toBe("Active");
  });

  test("without a drain before: its sessions stay", () => {
    const world = serving();
    told(world, true);
    expect(restarts(world)).toHaveLength(1);
    expect(world.status.drain).toEqual([]);
    expect(world.plans.at(-1)?.peers).toHaveLength(1);
  });

  test("is told to a process that ends before it hears it: it does nothing", () => {
    const world = serving();
    told(world, false);
    world.restart().run({ kind: "start" });
    expect(world.status).toMatchObject({ status: "Active", drain: [] });
    expect(restarts(world)).toEqual([]);
  });

  test("brings nobody back who leaves for good", () => {
    const world = serving();
    world.run({ kind: "leave", forMs: 60_000 });
    told(world, true);
    expect(restarts(world)).toEqual([]);
    world.pass(61_000);
    expect(goodbyes(world)).toHaveLength(1);
    expect(restarts(world)).toEqual([]);
  });
});
