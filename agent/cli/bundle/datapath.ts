import { readFileIfThere } from "../../../protocol/node/files.ts";
import { logFileOf } from "../../../protocol/node/wireguard/wireguard-go.ts";
import { instanceInterface } from "../../../protocol/tunnel.ts";
import { resolverPaths } from "../../adapters/dnsmasq.ts";
import { dataPathFolderOf } from "../../adapters/state-folder.ts";
import type { Environment } from "../../core/parameters.ts";
import { listing, output, type Part, text } from "./gather.ts";

/** Of a log, its end. */
const fileCharactersMax = 256 * 1024;

/** What the kernel holds of the data path, and the files of the programs that are part of it. `wg show` hides its keys. */
export async function gatherDataPath(socket: string, env: Environment): Promise<Part[]> {
  if (env.CONNECTOR_DATAPATH === "record") return [];
  const folder = dataPathFolderOf(socket);
  const { configFile, serversFile, logFile } = resolverPaths(folder);
  return await Promise.all([
    output("datapath/ruleset.txt", "all nftables, with what they counted", "nft", ["list", "ruleset"]),
    output("datapath/wireguard.txt", "the tunnel and its peers", "wg", ["show", instanceInterface]),
    { name: "datapath/files.txt", what: "names and sizes of its files", content: listing(folder) },
    ...file("dnsmasq.conf", "the resolver's configuration", configFile),
    ...file("dnsmasq.servers", "the DNS servers, in the order of asking", serversFile),
    ...file("dnsmasq.log", "what the resolver said", logFile),
    ...file("wireguard-go.log", "what wireguard-go said", logFileOf(instanceInterface)),
  ]);
}

/** One that is not there is no fault: the listing tells, and the kernel's WireGuard has no log. */
function file(name: string, what: string, path: string): Part[] {
  const part = (content: Part["content"]) => [{ name: `datapath/${name}`, what, content }];
  try {
    const found = readFileIfThere(path);
    return found === undefined ? [] : part(text(found.slice(-fileCharactersMax)));
  } catch (error) {
    return part({ is: "missing", why: (error as Error).message });
  }
}
