import { existsSync } from "node:fs";
import type { Fault } from "./faults.ts";
import { median } from "./gaps.ts";
import type { Stage } from "./stage.ts";
import { judge, type Outcome } from "./verdict.ts";

/** What the requests show when nothing is done, and what they cost. */
export interface Calm {
  readonly devices: number;
  readonly requestsPerS: number;
  readonly medianMs: number | undefined;
  readonly worstMs: number;
  /** How late a request was at most. */
  readonly lateMs: number;
  /** Of one processor, by the processes that ask. */
  readonly cpuRatio: number;
}

export type Ran =
  | { readonly fault: string; readonly is: "skipped"; readonly why: string }
  | {
      readonly fault: string;
      readonly is: "run";
      readonly tookMs: number;
      readonly instance: string | undefined;
      readonly outcome: Outcome;
    };

/** So long after a fault has been mended nothing more may happen. */
const restMs = 1_000;

export async function watchCalm(stage: Stage, forMs: number): Promise<Calm> {
  const { load } = stage;
  load.restart();
  await stage.pause(forMs);
  const { cpuRatio } = load;
  const heeds = load.read();
  const gaps = heeds.map(({ gap }) => gap.ms);
  return {
    devices: heeds.length,
    requestsPerS: heeds.reduce((sum, { answered }) => sum + answered, 0) / (forMs / 1_000),
    medianMs: median(gaps),
    worstMs: Math.max(0, ...gaps),
    lateMs: Math.max(0, ...heeds.map(({ lateMs }) => lateMs)),
    cpuRatio,
  };
}

/** Does one thing to a group at rest and waits until it is at rest again; throws nothing but what ends the whole run. */
export async function runFault(stage: Stage, fault: Fault, calmMs: number): Promise<Ran> {
  if (fault.needsWireguardGo && existsSync("/sys/module/wireguard"))
    return { fault: fault.name, is: "skipped", why: "the kernel's WireGuard has no process of its own" };
  await stage.quiet();
  const target = await stage.busiest();
  const before = await stage.places();
  const begunAtMs = performance.now();
  stage.load.restart();
  const troubles: string[] = [];
  const trying = async (what: () => Promise<void>) => {
    await what().catch((error: Error) => {
      stage.signal.throwIfAborted();
      troubles.push(error.message);
    });
  };
  await trying(() => fault.strike(stage, target));
  await trying(() => fault.mend(stage, target));
  await trying(() => stage.quiet());
  await stage.pause(restMs);
  const after = await stage.places();
  const instance = fault.hits === "instance" ? target.name : undefined;
  const outcome = judge({
    expects: fault.expects,
    instance,
    before,
    after,
    heeds: stage.load.read(),
    calmMs,
    troubles,
  });
  return { fault: fault.name, is: "run", tookMs: performance.now() - begunAtMs, instance, outcome };
}
