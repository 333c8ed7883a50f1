import { setTimeout as sleep } from "node:timers/promises";
import { failed, type Result, success } from "../protocol/failures.ts";
import { createLogger } from "../protocol/node/log.ts";
import { openKeys } from "./adapters/keys-file.ts";
import { mayConfigureNetwork } from "./adapters/permission.ts";
import { TunnelHost } from "./adapters/tunnel.ts";
import { TunnelFile } from "./adapters/tunnel-file.ts";
import { noTunnel } from "./core/tunnel-plan.ts";

const letsGoWithinMs = 5_000;
const lookEveryMs = 50;

/** Takes down what an ended device left carrying traffic. A device that runs does it itself, and is waited for. */
export async function leaveTunnel(stateFolder: string): Promise<Result<void>> {
  const file = new TunnelFile(stateFolder);
  const last = await lastWord(file);
  if (last === undefined || last.runs || last.tunnel.state === "off") return success(undefined);
  if (last.tunnel.path === null) return success(undefined);
  if (!mayConfigureNetwork()) return failed("tunnel.not-permitted", { interface: last.tunnel.interface });
  using host = new TunnelHost({
    ...{ name: last.tunnel.interface, names: last.tunnel.names, key: openKeys(stateFolder).wireguard },
    log: createLogger({ name: "connector-device", level: "warn" }),
  });
  const taken = await host.apply(noTunnel, undefined);
  if (!taken.ok) return taken;
  file.write({ ...last.tunnel, path: null, problem: null });
  return success(undefined);
}

/** One that was just told to end runs for a moment and lets go of nothing. */
async function lastWord(file: TunnelFile): Promise<ReturnType<TunnelFile["read"]>> {
  const untilMs = performance.now() + letsGoWithinMs;
  for (;;) {
    const last = file.read();
    const holds = last?.runs === true && last.tunnel.state === "on" && last.tunnel.path !== null;
    if (!holds || performance.now() > untilMs) return last;
    await sleep(lookEveryMs);
  }
}
