/**
 * An agent's tunnel in a process of its own, to be killed: applies the plan in a file, says `ready`, and stays.
 *
 *   tunnel-child.ts FILE
 */
import { readFileSync } from "node:fs";
import { Tunnel } from "../../agent/adapters/wireguard.ts";
import { tunnelPlan } from "../../agent/core/tunnel.ts";
import { systemClock } from "../../protocol/node/clock.ts";
import { createLogger } from "../../protocol/node/log.ts";

const { name, inside, key, listenPort, plan } = JSON.parse(readFileSync(process.argv[2] ?? "", "utf8"));
const opened = await Tunnel.open({
  ...{ name, inside, key, listenPort, clock: systemClock, onRenewed: () => undefined },
  log: createLogger({ name: "child", level: "silent" }),
});
if (!opened.ok) throw opened.failure;
const settings = { addresses: ["169.254.77.1/32"], pathMtu: 1500 };
const state = await opened.value.apply(
  tunnelPlan({ ...plan, resources: new Map(), dns: undefined }, settings),
);
if (!state.ok || state.value.drift.length > 0) throw new Error(JSON.stringify(state));
process.stdout.write("ready\n");
setInterval(() => undefined, 60_000);
