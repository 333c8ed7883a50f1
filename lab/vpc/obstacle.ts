import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ip, must } from "./commands.ts";
import { enterCommand, makeHostFolder } from "./enter.ts";
import { namespaceNames, removeLeftovers, removeNamespaces } from "./namespaces.ts";

const programs = ["ip", "nft", "dnsmasq", "setpriv", "mount"] as const;

/** What the routers' rules need of nft and of the kernel, in little. */
const probeRules = `table inet probe {
  set s { type ifname . ipv4_addr; flags interval; }
  chain c { type nat hook prerouting priority dstnat; tcp dport 80 redirect to :8080; }
}`;

/**
 * Why there can be no VPC on this machine, in one line; undefined when there can. Found out by making a small one:
 * to be root in a container is not to be allowed everything.
 */
export async function vpcObstacle(): Promise<string | undefined> {
  if (process.platform !== "linux") return "network namespaces are a thing of Linux";
  if (process.getuid?.() !== 0) return "network namespaces need root";
  const missing = missingProgram(programs);
  if (missing !== undefined) return missing;
  const folder = mkdtempSync(join(tmpdir(), "connector-probe-"));
  const namespace = namespaceNames("probe")(folder.slice(-6));
  try {
    makeHostFolder(folder);
    await removeLeftovers();
    await must(["ip", "netns", "add", namespace]);
    await ip(namespace, ["link add name one type veth peer name two"]);
    await must([...enterCommand(namespace, folder), "nft", probeRules]);
    return undefined;
  } catch (error) {
    return `no network namespaces: ${error instanceof Error ? error.message : String(error)}`;
  } finally {
    await removeNamespaces([namespace]);
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The first of them that is not there, in one line. */
export function missingProgram(wanted: readonly string[]): string | undefined {
  const missing = wanted.find((program) => !isInstalled(program));
  return missing && `${missing} is not installed (npm run setup installs it)`;
}

export function isInstalled(program: string): boolean {
  const folders = (process.env.PATH ?? "").split(":").filter(Boolean);
  return folders.some((folder) => existsSync(join(folder, program)));
}
