import type { Failure } from "../../protocol/failures.ts";
import { commandRunner } from "../../protocol/node/command.ts";
import { makeFolder, storageFailure } from "../../protocol/node/files.ts";
import type { Logger } from "../../protocol/node/log.ts";
import { linkKind } from "../../protocol/node/wireguard/kernel.ts";
import { openWireguard } from "../../protocol/node/wireguard/open.ts";
import { instanceInterface } from "../../protocol/tunnel.ts";
import { resolverPaths } from "./dnsmasq.ts";
import { endDnsmasq } from "./dnsmasq-process.ts";
import { Nft } from "./nft.ts";

/**
 * Takes away what a data path leaves on the host: the tunnel with its routes, table `inet connector`, the resolver. For
 * an instance that has left for good, and for a host that agents no longer live on; nobody may be running one. Can be
 * repeated. Returns what could not be taken away.
 */
export async function removeDataPath(folder: string, log: Logger): Promise<readonly Failure[]> {
  try {
    makeFolder(folder);
  } catch (error) {
    return [storageFailure(error, folder)];
  }
  const run = commandRunner();
  // First the tunnel: nobody gets in while the rules go.
  const tunnel = await removeTunnel(log);
  const table = await new Nft({ run, folder }).remove();
  const { configFile: config, pidFile: pid, logFile } = resolverPaths(folder);
  await endDnsmasq({ config, pid, log: logFile });
  return [tunnel, table.ok ? undefined : table.failure].filter((failure) => failure !== undefined);
}

async function removeTunnel(log: Logger): Promise<Failure | undefined> {
  const name = instanceInterface;
  const kind = await linkKind(name, commandRunner());
  if (!kind.ok) return kind.failure;
  // Where there is none, wireguard-go may have left files; of the kernel's nothing is left.
  const backend = kind.value === "none" ? "userspace" : "best";
  const opened = await openWireguard({ name, backend, log });
  if (!opened.ok) return opened.failure;
  using wireguard = opened.value;
  const removed = await wireguard.remove();
  return removed.ok ? undefined : removed.failure;
}
