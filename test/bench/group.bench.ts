import { setTimeout as sleep } from "node:timers/promises";
import { until } from "../support/until.ts";
import { type BenchResult, type BenchRow, type Size, workHash } from "./bench.ts";
import { Group } from "./group.ts";
import type { SessionOnDisk } from "./group-world.ts";

const shapes = {
  small: { instances: 8, sockets: 40, devices: 160 },
  full: { instances: 64, sockets: 16_000, devices: 89_600 },
} as const;

/** What is dialled at once when all come: enough to keep the controller busy, few enough that none is turned away. */
const atOnce = { small: 20, full: 500 } as const;
const idleMs = { small: 200, full: 20_000 } as const;
/** V8 tidies up some seconds after a burst, once: that is not idling. */
const restMs = { small: 0, full: 10_000 } as const;

/**
 * One controller process with its whole group: 64 instances and 89,600 sessions, 16,000 devices on sockets of their own.
 * From nothing to all attached, idle, one instance lost, and the controller killed and started again. On one machine: the
 * clients take their part of the same processors.
 */
export async function run(size: Size): Promise<BenchResult> {
  const shape = shapes[size];
  await using group = await Group.start(shape);
  const attached = await attach(group, size);
  const idle = await rest(group, size);
  const lost = await loseOne(group);
  const restarted = await restart(group);
  const errors = group.errors();
  if (errors.length > 0) throw new Error(`the controller logged errors: ${errors[0]}`);
  return {
    rows: [...attached.rows, ...idle, ...lost.rows, ...restarted.rows],
    work: workHash([attached.loads, lost.loads, restarted.loads]),
  };
}

interface Phase {
  readonly rows: readonly BenchRow[];
  readonly loads: readonly number[];
}

async function attach(group: Group, size: Size): Promise<Phase> {
  const { controller, devices, shape } = group;
  const { sockets } = shape;
  const local = shape.devices - sockets;
  await group.startAgents();
  const empty = await controller.ask("memory");
  const inside = await costOf(group, () => controller.ask("login", atOnce[size]));
  await group.agents.ask("pongs");
  await until("rest", async () => (await controller.ask("facts")).queued === 0);
  const withLocal = await controller.ask("memory");
  const outside = await costOf(group, () => devices.ask("login", atOnce[size]));
  await group.quiet();
  const withAll = await controller.ask("memory");
  const loads = loadsOf(group, shape.devices);
  const inProcess = "logins in the process: placed, granted, stored, told";
  return {
    loads,
    rows: [
      {
        what: inProcess,
        value: (local / inside.ms) * 1000,
        unit: "devices/s",
        note: processorNote(inside, local),
      },
      {
        what: "logins over sockets: handshake and proof besides",
        value: (sockets / outside.ms) * 1000,
        unit: "devices/s",
        note: processorNote(outside, sockets),
        against: inProcess,
      },
      {
        what: "memory for a session and its device, linked in the process",
        value: Math.max(1, (withLocal.heapBytes - empty.heapBytes) / local),
        unit: "bytes of heap",
      },
      {
        what: "memory for a session and its device, linked over a socket",
        value: Math.max(1, (withAll.heapBytes - withLocal.heapBytes) / sockets),
        unit: "bytes of heap",
      },
      {
        what: "of the process, for each of all sessions with its device",
        value: Math.max(1, (withAll.rssBytes - empty.rssBytes) / shape.devices),
        unit: "bytes",
        ...(size === "full" ? { budget: { atMost: 11 * 1024 } } : {}),
        note: "budget: 1 KB for the session, 10 KB for the device",
      },
      { what: "the whole process with all of them", value: withAll.rssBytes / 1e6, unit: "MB" },
    ],
  };
}

async function rest(group: Group, size: Size): Promise<BenchRow[]> {
  await sleep(restMs[size]);
  await group.agents.ask("pongs");
  await group.controller.ask("busiestMs");
  const before = await group.controller.ask("moment");
  await sleep(idleMs[size]);
  const after = await group.controller.ask("moment");
  const share = (after.processorMs - before.processorMs) / (after.atMs - before.atMs);
  return [
    {
      what: "idle processor time",
      value: Math.max(0.01, share * 100),
      unit: "% of a core",
    },
    await heartbeats(group, "idle"),
  ];
}

/** Its link is gone without a word, and then its devices say that their paths are dead. */
async function loseOne(group: Group): Promise<Phase> {
  const { controller, agents, devices, shape } = group;
  const [lost] = await controller.ask("instances");
  if (lost === undefined) throw new Error("no instance");
  const each = shape.devices / shape.instances;
  await agents.ask("probe", true);
  await agents.ask("pongs");
  await controller.ask("busiestMs");
  await controller.ask("awaitLoss");
  await agents.ask("lose", 0);
  await until("the lost link", async () => (await controller.ask("facts")).links.agents < shape.instances);
  const [local, remote] = await Promise.all([
    controller.ask("die", lost.name),
    devices.ask("die", lost.name),
  ]);
  if (local + remote.length !== each) throw new Error(`${local + remote.length} of ${each} say dead`);
  const told = async () => (await controller.ask("loss")).told;
  await until(`${each} told`, async () => (await told()) === each, 60_000);
  await group.quiet(shape.instances - 1);
  const { decided, lastTold } = await controller.ask("loss");
  if (decided === undefined || lastTold === undefined) throw new Error("nothing was decided");
  const heardAtMs = await devices.ask("movedAtMs");
  const { totals } = await controller.ask("facts");
  if (totals.moved.devices !== each) throw new Error(`${totals.moved.devices} of ${each} moved`);
  const loads = loadsOf(group, shape.devices);
  if (loads.length !== shape.instances - 1) throw new Error(`sessions on ${loads.length} instances`);
  if ((loads.at(-1) ?? 0) - (loads[0] ?? 0) > 1) throw new Error(`uneven: ${loads[0]} to ${loads.at(-1)}`);
  return {
    loads,
    rows: [
      {
        what: `an instance's ${each} sessions of ${shape.devices}, from decision to last attachment sent`,
        value: lastTold.atMs - decided.atMs,
        unit: "ms",
        budget: { atMost: 500 },
        note: `${(lastTold.processorMs - decided.processorMs).toFixed(0)} ms of processor time`,
      },
      { what: "until the last device on a socket has it", value: heardAtMs - decided.atMs, unit: "ms" },
      await heartbeats(group, "while it moves them"),
    ],
  };
}

/** SIGKILL and start: all links are lost at once, and come back as their backoff has it. */
async function restart(group: Group): Promise<Phase> {
  const { agents, shape } = group;
  await agents.ask("start");
  await group.quiet();
  await agents.ask("probe", true);
  const before = group.sessions();
  await agents.ask("pongs");
  const killedAtMs = await group.killController();
  await group.restartController(killedAtMs);
  const { atMs: listeningAtMs } = await group.controller.ask("listening");
  const quietAtMs = await group.quiet();
  const { processorMs } = await group.controller.ask("moment");
  const { totals } = await group.controller.ask("facts");
  if (!isSame(before, group.sessions())) throw new Error("the storm has changed sessions");
  const moved = Object.values(totals.moved).reduce((sum, count) => sum + count, 0);
  if (moved + totals.placements > 0) throw new Error(`${moved} moved, ${totals.placements} placed`);
  const { atMs: heardAtMs } = await agents.ask("heard");
  const { throttled } = await group.devices.ask("counts");
  return {
    loads: loadsOf(group, shape.devices),
    rows: [
      { what: "controller killed until it listens again", value: listeningAtMs - killedAtMs, unit: "ms" },
      {
        what: "from there until all instances are back and heard",
        value: heardAtMs - listeningAtMs,
        unit: "ms",
      },
      {
        what: "from there until everybody is back and all is quiet",
        value: quietAtMs - listeningAtMs,
        unit: "ms",
        note: `${(processorMs / 1000).toFixed(1)} s of processor time since its start; ${throttled} times a device was asked to come later; no session moved`,
      },
      await heartbeats(group, "in the storm"),
    ],
  };
}

/** What instances waited for their pongs since this was asked last, and what kept the controller from answering. */
async function heartbeats({ agents, controller }: Group, when: string): Promise<BenchRow> {
  const { count, medianMs, worstMs } = await agents.ask("pongs");
  const busiestMs = await controller.ask("busiestMs");
  return {
    what: `an instance's heartbeat ${when}, slowest`,
    value: Math.max(0.01, worstMs),
    unit: "ms",
    note: `of ${count}, median ${medianMs.toFixed(1)} ms; the event loop's longest turn took ${busiestMs.toFixed(0)} ms`,
  };
}

function processorNote({ processorMs }: { readonly processorMs: number }, count: number): string {
  return `${((processorMs / count) * 1000).toFixed(0)} µs of the controller's processor time for each`;
}

/** Sessions by instance, the fewest first. All must be attached. */
function loadsOf(group: Group, sessions: number): number[] {
  const rows = group.sessions();
  const attached = rows.filter(({ state }) => state === "attached");
  if (rows.length !== sessions || attached.length !== sessions)
    throw new Error(`${attached.length} attached of ${rows.length}, not ${sessions}`);
  if (new Set(attached.map(({ ipv6 }) => ipv6)).size !== sessions) throw new Error("an address twice");
  const loads = new Map<string | null, number>();
  for (const { instance } of attached) loads.set(instance, (loads.get(instance) ?? 0) + 1);
  return [...loads.values()].sort((a, b) => a - b);
}

function isSame(before: readonly SessionOnDisk[], after: readonly SessionOnDisk[]): boolean {
  return JSON.stringify(before) === JSON.stringify(after);
}

/** What an act takes, and what it costs the controller. */
async function costOf({ controller }: Group, act: () => Promise<unknown>) {
  const before = await controller.ask("moment");
  await act();
  const after = await controller.ask("moment");
  return { ms: after.atMs - before.atMs, processorMs: after.processorMs - before.processorMs };
}
