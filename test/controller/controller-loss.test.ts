import { expect, onTestFinished, test } from "vitest";
import { Group } from "../bench/group.ts";
import type { SessionOnDisk } from "../bench/group-world.ts";
import { until } from "../support/until.ts";

/**
 * The controller's process is killed with a group around it: instances and some of the devices in processes of their own,
 * on sockets, with the backoff of real clients.
 */
const shape = { instances: 3, sockets: 300, devices: 3_000 } as const;

async function group(settings: Parameters<typeof Group.start>[1]): Promise<Group> {
  const started = await Group.start(shape, settings);
  onTestFinished(() => started[Symbol.asyncDispose]());
  await started.startAgents();
  return started;
}

const bySession = (rows: readonly SessionOnDisk[]) => new Map(rows.map((row) => [row.id, row]));

test("nobody is moved, and what changed meanwhile is made good", { timeout: 120_000 }, async () => {
  const world = await group({ returnGraceMs: 6_000 });
  await world.controller.ask("login", 500);
  await world.devices.ask("login", 100);
  await world.quiet();
  const before = world.sessions();
  const [, second, third] = await world.controller.ask("instances");
  if (second === undefined || third === undefined) throw new Error("three instances");
  const held = await world.devices.ask("attachments");
  const loggedOut = held.findIndex((at) => at?.instance === second.name);
  const readdressed = held.findLast((at) => at?.instance === second.name)?.session ?? "";

  const killedAtMs = await world.killController();
  await world.agents.ask("lose", 2);
  const cutOff = await world.devices.ask("die", third.name);
  await world.devices.ask("want", { number: loggedOut, wants: "detached" });
  const address = await world.agents.ask("readdress", { number: 1, session: readdressed });
  await world.restartController(killedAtMs);

  // Who says that its path is dead is moved alone, or with the others when its instance has had its time to return.
  await until(
    "the moves",
    async () => {
      const { totals, sessions } = await world.controller.ask("facts");
      const moved = totals.moved["path-dead"] + totals.moved["link-lost"];
      // A move counts when it is stored; its instance grants it a moment later.
      return moved >= cutOff.length && sessions.placed === 0 ? totals : undefined;
    },
    60_000,
  );
  // Who has a path that works comes back at a moment of its own.
  await world.quiet(shape.instances - 1);
  const { totals, sessions } = await world.controller.ask("facts");
  expect(totals).toMatchObject({ placements: cutOff.length, moved: { drain: 0, goodbye: 0, devices: 0 } });
  expect(sessions).toEqual({ waiting: 0, placed: 0, attached: shape.devices - 1, leaving: 0 });

  const ended = held[loggedOut]?.session ?? "";
  const moved = new Set(cutOff.map((number) => held[number]?.session ?? ""));
  expect(moved.size).toBeGreaterThan(50);
  const after = bySession(world.sessions());
  expect(after.get(readdressed)?.ipv6, "the instance knows better what it granted").toBe(address);
  const changed = new Set([ended, readdressed, ...moved]);
  expect(after.has(ended)).toBe(false);
  for (const row of before) {
    if (!changed.has(row.id)) expect(after.get(row.id)).toEqual(row);
    if (moved.has(row.id))
      expect(after.get(row.id)).toMatchObject({ state: "attached", epoch: row.epoch + 1 });
    if (moved.has(row.id)) expect(after.get(row.id)?.instance).not.toBe(row.instance);
  }
  expect(await devicesAgree(world)).toEqual([]);
  const served = [await world.agents.ask("sessions", 0), await world.agents.ask("sessions", 1)];
  const ids = (await world.controller.ask("instances")).map(({ sessions }) => sessions);
  expect(served, "the instances serve those and no others").toEqual(ids.slice(0, 2));
  expect(world.errors()).toEqual([]);
});

test("killed amid thousands of logins, it gives every device one place", { timeout: 120_000 }, async () => {
  const world = await group({});
  await world.controller.ask("dieAtAttached", shape.devices / 2);
  const local = world.controller.ask("login", 500).catch(() => "killed");
  const remote = world.devices.ask("login", 300);
  expect(await local).toBe("killed");
  const killedAtMs = await world.killController();
  const before = world.sessions().filter(({ state }) => state === "attached");
  await world.restartController(killedAtMs);
  await remote;
  await world.quiet();
  const rows = world.sessions();
  expect(rows.filter(({ state, epoch }) => state === "attached" && epoch === 1).length).toBe(shape.devices);
  expect(new Set(rows.map(({ ipv6 }) => ipv6)).size, "no address twice").toBe(shape.devices);
  const after = bySession(rows);
  for (const row of before) expect(after.get(row.id), "what was stored is as it was").toEqual(row);
  expect(await devicesAgree(world)).toEqual([]);
});

/** Devices on sockets that hold something else than what is stored for them. */
async function devicesAgree(world: Group): Promise<readonly unknown[]> {
  const names = new Map((await world.controller.ask("instances")).map(({ id, name }) => [id, name]));
  const rows = bySession(world.sessions());
  return (await world.devices.ask("attachments")).filter((at) => {
    if (at === null) return false;
    const row = rows.get(at.session);
    const isSame =
      row?.epoch === at.epoch && row.ipv6 === at.ipv6 && names.get(row.instance ?? "") === at.instance;
    return !isSame;
  });
}
