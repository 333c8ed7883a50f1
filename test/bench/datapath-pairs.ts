import { runIn } from "../support/namespaces.ts";
import { until } from "../support/until.ts";
import { tunnelMs } from "./datapath-processor.ts";
import type { DataPathWorld } from "./datapath-world.ts";

/** Bare and product by turns, seconds apart: the machine's speed drifts, and a pair shares it. */

type Way = keyof DataPathWorld["ways"];

export interface Flow {
  readonly protocol: "tcp" | "udp";
  readonly flows: number;
  /** Towards the device instead of from it. */
  readonly isDownload?: boolean;
}

/** What one run of iperf3 carried, and what it cost. */
interface Run {
  /** That arrived. */
  readonly mbits: number;
  /** Processor time of the instance's WireGuard process; undefined where the kernel carries the tunnel. */
  readonly tunnelMsPerGigabyte: number | undefined;
}

export type Pairs = readonly Readonly<Record<Way, Run>>[];

/** `offeredMbits`: what UDP sends in all, whether it arrives or not. */
export async function measurePairs(
  world: DataPathWorld,
  flow: Flow,
  { pairs, seconds, offeredMbits }: { pairs: number; seconds: number; offeredMbits: number },
): Promise<Pairs> {
  const measured: Record<Way, Run>[] = [];
  const run = (way: Way) => carried(world, way, flow, seconds, offeredMbits);
  for (let pair = 0; pair < pairs; pair++) {
    // In the other order each time: what the first leaves behind must not always be the second's.
    if (pair % 2 === 0) {
      const bare = await run("bare");
      measured.push({ bare, product: await run("product") });
    } else {
      const product = await run("product");
      measured.push({ bare: await run("bare"), product });
    }
  }
  return measured;
}

/** Product to bare, pair by pair. */
export function ratiosOf(pairs: Pairs): number[] {
  return pairs.map(({ bare, product }) => product.mbits / bare.mbits);
}

/** The same of what a byte costs the instance; empty where the kernel carries the tunnel. */
export function costRatiosOf(pairs: Pairs): number[] {
  return pairs.flatMap(({ bare, product }) =>
    bare.tunnelMsPerGigabyte === undefined || product.tunnelMsPerGigabyte === undefined
      ? []
      : [product.tunnelMsPerGigabyte / bare.tunnelMsPerGigabyte],
  );
}

/** The most Mbit/s of TCP over the bare tunnel in so many tries: what this machine can carry when it is let. */
export async function bareMbits(world: DataPathWorld, times: number, seconds: number): Promise<number> {
  const measured: number[] = [];
  for (let i = 0; i < times; i++) {
    const { mbits } = await carried(world, "bare", { protocol: "tcp", flows: 1 }, seconds, 0);
    measured.push(mbits);
  }
  return Math.max(...measured);
}

/** Round trips in ms of echoes by both ways at once, so that both meet the same machine. */
export async function roundTrips(
  world: DataPathWorld,
  count: number,
  intervalMs: number,
): Promise<Readonly<Record<Way, readonly number[]>>> {
  const echo = async (way: Way) => {
    const options = ["-n", "-c", `${count}`, "-i", `${intervalMs / 1000}`, world.ways[way]];
    const text = await runIn(world.device, "ping", ...options);
    return [...text.matchAll(/ time=([\d.]+) ms/g)].map((match) => Number(match[1]));
  };
  const [bare, product] = await Promise.all([echo("bare"), echo("product")]);
  return { bare, product };
}

async function carried(
  world: DataPathWorld,
  way: Way,
  { protocol, flows, isDownload }: Flow,
  seconds: number,
  offeredMbits: number,
): Promise<Run> {
  const udp = ["--udp", "--length", "1350", "--bitrate", `${Math.max(1, offeredMbits / flows).toFixed(1)}M`];
  const options = [
    ...["iperf3", "--json", "--client", world.ways[way], "--time", `${seconds}`, "--parallel", `${flows}`],
    ...(protocol === "udp" ? udp : []),
    ...(isDownload === true ? ["--reverse"] : []),
  ];
  const instance = world.instances[way];
  // Its server is busy for a moment after a run whose end was lost.
  const { end, spentMs } = await until("iperf3", async () => {
    const beforeMs = await tunnelMs(instance);
    const text = await runIn(world.device, ...options);
    const afterMs = await tunnelMs(instance);
    const { end } = JSON.parse(text) as Report;
    const spentMs = beforeMs === undefined || afterMs === undefined ? undefined : afterMs - beforeMs;
    return end.sum === undefined && end.sum_received === undefined ? undefined : { end, spentMs };
  });
  // Over UDP the sum is what was sent, with the share that was lost on the way.
  const { bits_per_second: bits = 0, lost_percent: lostPercent = 0 } = end.sum ?? end.sum_received ?? {};
  const arrivedBits = bits * (1 - lostPercent / 100);
  const gigabytes = (arrivedBits * seconds) / 8e9;
  const tunnelMsPerGigabyte = spentMs === undefined ? undefined : spentMs / gigabytes;
  return { mbits: arrivedBits / 1e6, tunnelMsPerGigabyte };
}

/** What of iperf3's report is read: `sum` over UDP, `sum_received` over TCP; neither when it could not run. */
interface Report {
  readonly end: { readonly sum?: Sum; readonly sum_received?: Sum };
}

interface Sum {
  readonly bits_per_second?: number;
  readonly lost_percent?: number;
}
