import { readdirSync, readFileSync } from "node:fs";
import { setPriority } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { DataPathWatch } from "../../agent/core/datapath-watch.ts";
import { Traffic } from "../../agent/core/traffic.ts";
import { must } from "../../lab/vpc/commands.ts";
import { success } from "../../protocol/failures.ts";
import { systemClock } from "../../protocol/node/clock.ts";
import { programOf } from "../../protocol/node/processes.ts";
import type { DataPathChild } from "../support/datapath.ts";

/** Whatever else runs on the machine waits for this process and what it starts: a measurement, not a test. */
export function ahead(): Disposable {
  setPriority(-20);
  return { [Symbol.dispose]: () => setPriority(0) };
}

/** Processor time in ms of a process and of the children that it has waited for; proc(5) stat, in ticks of 10 ms. */
export function processorMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)?.split(" ") ?? [];
  return fields.slice(11, 15).reduce((sum, field) => sum + Number(field) * 10, 0);
}

/** Percent of one core that the agent's data path takes for so long, asked as often as the agent asks when nothing changes. */
export async function processorPercent(dataPath: DataPathChild, overMs: number): Promise<number> {
  const { pid } = dataPath;
  if (pid === undefined) throw new Error("the data path's process did not start");
  const [traffic, watch] = [new Traffic(), new DataPathWatch()];
  const [beforeMs, begunMs] = [processorMs(pid), performance.now()];
  const endMs = begunMs + overMs;
  while (performance.now() < endMs) {
    for (const { effectId } of traffic.next(systemClock())) {
      traffic.read(effectId, success((await dataPath.traffic()).value), systemClock());
    }
    if (watch.next(true, systemClock())) {
      const { drift, peers } = (await dataPath.compare()).value;
      watch.compared(drift, peers, systemClock());
    }
    await sleep(Math.min(100, Math.max(1, endMs - performance.now())));
  }
  return ((processorMs(pid) - beforeMs) / (performance.now() - begunMs)) * 100;
}

/**
 * Processor time in ms of the WireGuard process of a host; undefined where the kernel carries the tunnel. Most of what the
 * kernel does with a packet on its way it does in the name of this process.
 */
export async function tunnelMs(namespace: string): Promise<number | undefined> {
  const pids = (await must(["ip", "netns", "pids", namespace])).split("\n").filter(Boolean).map(Number);
  const pid = pids.find((pid) => programOf(pid) === "wireguard-go");
  if (pid === undefined) return undefined;
  const threads = readdirSync(`/proc/${pid}/task`);
  // In nanoseconds, Documentation/scheduler/sched-stats.rst.
  return threads.reduce(
    (sum, thread) =>
      sum + Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ")[0]) / 1e6,
    0,
  );
}
