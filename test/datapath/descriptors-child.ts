/**
 * What watches over nft, dnsmasq and wireguard-go in a process that runs out of descriptors while all of them end. It prints
 * `ok` when they run again after there are descriptors once more.
 *
 *   descriptors-child.ts FOLDER      with programs nft and dnsmasq in FOLDER, which write their process ids there
 */
import { subscribe } from "node:diagnostics_channel";
import { closeSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Dnsmasq } from "../../agent/adapters/dnsmasq.ts";
import { NftMonitor } from "../../agent/adapters/nft-monitor.ts";
import { killWireguardGo } from "../../protocol/node/wireguard/wireguard-go.ts";
import { keepingLog } from "../support/quiet-log.ts";
import { until } from "../support/until.ts";

const [, , folder = ""] = process.argv;
const { log } = keepingLog();
const inside = ["/usr/bin/env", `PATH=${folder}:/usr/bin:/bin`];
const pidOf = (program: string) => Number(readFileSync(join(folder, `${program}.pid`), "utf8"));
let spawned = 0;
subscribe("child_process", () => {
  spawned += 1;
});

using _ = new NftMonitor({ log, inside, onChange: () => undefined });
await using resolver = new Dnsmasq({ folder, log, inside });
await resolver.apply({ config: "", servers: "", listen: [] });
const monitorPid = await until("the monitor", () => running("nft"));
const resolverPid = resolver.pid ?? 0;

const held: number[] = [];
try {
  for (;;) held.push(openSync("/dev/null", "r"));
} catch {
  // That was the last one.
}
const before = spawned;
process.kill(monitorPid, "SIGKILL");
process.kill(resolverPid, "SIGKILL");
killWireguardGo("none", "none");
await until("both are missed", () => resolver.problem !== undefined && spawned > before);
for (const descriptor of held) closeSync(descriptor);
await until("another monitor", () => running("nft") !== monitorPid && running("nft"));
await until("another resolver", () => resolver.problem === undefined && resolver.pid !== resolverPid);
process.kill(pidOf("nft"), "SIGKILL");
process.kill(resolver.pid ?? 0, "SIGKILL");
console.log("ok");
process.exit();

function running(program: string): number | undefined {
  try {
    return pidOf(program);
  } catch {
    return undefined;
  }
}
