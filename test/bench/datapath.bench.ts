import { runIn } from "../support/namespaces.ts";
import { type BenchResult, type BenchRow, quantile, type Size, workHash } from "./bench.ts";
import {
  bareMbits,
  costRatiosOf,
  type Flow,
  measurePairs,
  type Pairs,
  ratiosOf,
  roundTrips,
} from "./datapath-pairs.ts";
import { type PlanSize, planOf } from "./datapath-plan.ts";
import { ahead, processorPercent } from "./datapath-processor.ts";
import { DataPathWorld } from "./datapath-world.ts";

interface Cell extends PlanSize {
  readonly flows: readonly Flow[];
}

const one: readonly Flow[] = [
  { protocol: "tcp", flows: 1 },
  { protocol: "udp", flows: 1 },
];
const eight = one.map((flow) => ({ ...flow, flows: 8 }));
const download: Flow = { protocol: "tcp", flows: 1, isDownload: true };

/** Sessions and services are varied one at a time around 100 and 10; the largest of both comes last. */
const cells: Readonly<Record<Size, readonly Cell[]>> = {
  small: [{ sessions: 2, services: 4, flows: [{ protocol: "tcp", flows: 1 }] }],
  full: [
    { sessions: 1, services: 10, flows: one },
    { sessions: 100, services: 1, flows: one },
    { sessions: 100, services: 10, flows: [...one, ...eight, download] },
    { sessions: 100, services: 200, flows: one },
    { sessions: 1_400, services: 10, flows: one },
    { sessions: 1_400, services: 200, flows: [...one, ...eight] },
  ],
};

/** Of what TCP carries: a little more than UDP does. With much more, wireguard-go carries less and less. */
const offeredShare = 0.75;

/** `busyMs`: with 1,400 sessions the kernel is compared with the plan every 35 s. */
const effort = {
  small: { pairs: 1, seconds: 1, calibrations: 1, echoes: 20, connects: 10, busyMs: 200 },
  full: { pairs: 9, seconds: 1, calibrations: 5, echoes: 500, connects: 500, busyMs: 35_000 },
} as const;

/**
 * What the product's rules cost those whose packets pass them: iperf3 from a device through an instance to an application,
 * against the same WireGuard between the same hosts with nothing programmed but one peer. The session that is measured is
 * let through by the service that is asked last.
 */
export async function run(size: Size): Promise<BenchResult> {
  using _ = size === "full" ? ahead() : undefined;
  const { pairs, seconds, calibrations, echoes, connects, busyMs } = effort[size];
  await using world = await DataPathWorld.open();
  const { dataPath } = world.instance;
  const rows: BenchRow[] = [];
  const all = new Map<Flow["protocol"], Pairs>();
  let isAttached = false;
  const offeredMbits = offeredShare * (await bareMbits(world, calibrations, seconds));
  rows.push({ what: "UDP is offered, in all flows", value: offeredMbits, unit: "Mbit/s" });
  for (const { flows, ...plan } of cells[size]) {
    await dataPath.apply(planOf(plan, world.deviceKey.publicKey));
    if (!isAttached) await world.attach();
    isAttached = true;
    for (const flow of flows) {
      const measured = await measurePairs(world, flow, { pairs, seconds, offeredMbits });
      rows.push(cellRow(nameOf(flow, plan), measured));
      all.set(flow.protocol, [...(all.get(flow.protocol) ?? []), ...measured]);
    }
  }
  rows.push(...pooledRows(all, size));
  // From here on with the plan of the last cell.
  rows.push(...latencyRows("echo", await roundTrips(world, echoes, 10)));
  rows.push(...latencyRows("new connection", await connectTimes(world, connects)));
  const idlePercent = await processorPercent(dataPath, busyMs);
  const flow = ["--client", world.ways.product, "--time", `${Math.ceil(busyMs / 1000)}`];
  const traffic = runIn(world.device, "iperf3", ...flow);
  const busyPercent = await processorPercent(dataPath, busyMs);
  await traffic;
  const tick = (10 / busyMs) * 100;
  rows.push(
    { what: "agent's data path, idle", value: Math.max(idlePercent, tick), unit: "% of a core" },
    {
      what: "agent's data path, TCP at full speed",
      value: Math.max(busyPercent, tick),
      unit: "% of a core",
      against: "agent's data path, idle",
    },
  );
  const work = cells[size].map(({ flows, ...plan }) => [flows, planOf(plan, "")]);
  return { rows, work: workHash([work, effort[size]]) };
}

function nameOf({ protocol, flows, isDownload }: Flow, { sessions, services }: PlanSize): string {
  const way = isDownload === true ? " to the device" : "";
  return `${protocol.toUpperCase()}${way}, ${flows} flow${flows === 1 ? "" : "s"}, ${sessions} sessions, ${services} services`;
}

function cellRow(what: string, measured: Pairs): BenchRow {
  const median = (way: "bare" | "product") =>
    quantile(
      measured.map((pair) => pair[way].mbits),
      0.5,
    ).toFixed(0);
  const rates = `${median("product")} of ${median("bare")} Mbit/s`;
  return ratioRow(what, ratiosOf(measured), rates);
}

/**
 * A cell has too few pairs to tell a twentieth on a machine that others use too, and what is programmed hardly matters
 * (see `datapath-forward`): the budget is for all pairs of a protocol.
 */
function pooledRows(all: ReadonlyMap<Flow["protocol"], Pairs>, size: Size): BenchRow[] {
  const budget = size === "full" ? { budget: { atLeast: 0.95 } } : {};
  const rows = [...all].map(([protocol, pairs]) => ({
    ...ratioRow(`${protocol.toUpperCase()}, all of them`, ratiosOf(pairs)),
    ...budget,
  }));
  const costs = costRatiosOf(all.get("tcp") ?? []);
  return costs.length === 0 ? rows : [...rows, ratioRow("TCP: instance's processor for a byte", costs)];
}

function ratioRow(what: string, ratios: readonly number[], ...more: string[]): BenchRow {
  const spread = [0.25, 0.75].map((q) => quantile(ratios, q).toFixed(2)).join("–");
  const note = [...more, `half of ${ratios.length} pairs ${spread}`].join("; ");
  return { what, value: quantile(ratios, 0.5), unit: "× bare", note };
}

function latencyRows(what: string, times: Awaited<ReturnType<typeof roundTrips>>): BenchRow[] {
  return [
    ["median", 0.5],
    ["p99", 0.99],
  ].flatMap(([name, q]) => {
    const against = `${what}, bare: ${name}`;
    const value = (way: "bare" | "product") => quantile(times[way], Number(q)) * 1_000;
    return [
      { what: against, value: value("bare"), unit: "µs" },
      { what: `${what}, product: ${name}`, value: value("product"), unit: "µs", against },
    ];
  });
}

/** ms until a TCP connection stands, by turns one by each way: each asks the rules anew. */
async function connectTimes(world: DataPathWorld, count: number) {
  const script = `
    const { connect } = require("node:net"), { once } = require("node:events");
    const ways = JSON.parse(process.argv[1]), times = { bare: [], product: [] };
    (async () => {
      for (let i = 0; i < ${count}; i++) for (const way of Object.keys(ways)) {
        const begunMs = performance.now();
        const socket = connect(80, ways[way]);
        await once(socket, "connect");
        times[way].push(performance.now() - begunMs);
        socket.resetAndDestroy();
      }
      console.log(JSON.stringify(times));
    })();`;
  const text = await runIn(world.device, process.execPath, "-e", script, JSON.stringify(world.ways));
  return JSON.parse(text) as Awaited<ReturnType<typeof roundTrips>>;
}
