/**
 * The agent's data path in a process of its own, which is in the namespace that it shall change: does what each line on
 * its input says, and answers with a line. It ends without cleaning up, as an agent does.
 *
 *   datapath-child.ts FOLDER PUBLIC_KEY PORT      the private key in CONNECTOR_TEST_KEY
 */
import { createInterface } from "node:readline";
import { LinuxDataPath } from "../../agent/adapters/datapath-linux.ts";
import { removeDataPath } from "../../agent/adapters/datapath-removal.ts";
import type { DataPathPlan } from "../../agent/core/ports.ts";
import { systemClock } from "../../protocol/node/clock.ts";
import { createLogger } from "../../protocol/node/log.ts";
import type { DataPathAnswer, DataPathOrder, PlanText } from "./datapath.ts";

const [, , folder = "", publicKey = "", port = "51820"] = process.argv;
const key = { publicKey, privateKey: process.env.CONNECTOR_TEST_KEY ?? "" };
const say = (line: DataPathAnswer) => process.stdout.write(`${JSON.stringify(line)}\n`);

const log = createLogger({ name: "datapath", level: "warn", fd: 2 });
const dataPath = new LinuxDataPath({
  key: () => key,
  listenPort: Number(port),
  folder,
  clock: systemClock,
  log,
  onNews: () => say({ news: true }),
});

for await (const line of createInterface(process.stdin)) {
  const order = JSON.parse(line) as DataPathOrder;
  const begun = performance.now();
  const cpu = process.cpuUsage();
  const result = await perform(order);
  const tookMs = performance.now() - begun;
  const { user, system } = process.cpuUsage(cpu);
  const answer = result.ok ? { ok: true, value: result.value } : { ok: false, ...result.failure.facts };
  say({ answer, tookMs, cpuMs: (user + system) / 1000 });
}
process.exit();

async function perform(order: DataPathOrder) {
  switch (order.do) {
    case "apply":
      return dataPath.apply(planOf(order.plan));
    case "leave": {
      // As an agent whose last session goes with it: the change begins in the turn in which it ends.
      const last = dataPath.apply(planOf(order.plan));
      await dataPath[Symbol.asyncDispose]();
      const failures = await removeDataPath(folder, log);
      await last;
      return { ok: true as const, value: failures };
    }
    case "compare":
      return dataPath.compare();
    case "traffic": {
      const traffic = await dataPath.traffic();
      return traffic.ok ? { ok: true as const, value: [...traffic.value] } : traffic;
    }
  }
}

function planOf(text: PlanText): DataPathPlan {
  return { ...text, resources: new Map(text.resources) };
}
