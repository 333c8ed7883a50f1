import { readFileSync } from "node:fs";
import { insist } from "./commands.ts";
import type { Host } from "./host.ts";

/** `path=value`, with the path below /proc/sys. */
const write = `for each; do
  for file in /proc/sys/\${each%%=*}; do echo "\${each#*=}" > "$file" || exit; done
done`;

/**
 * Sets on a host what a file in the form of sysctl.d(5) says of IPv4 and IPv6. What else it says (conntrack, sockets) is
 * of the whole machine, and no namespace's to set. @throws Error that names what the kernel refused.
 */
export async function setSysctls(host: Host, path: string): Promise<void> {
  const settings = readFileSync(path, "utf8").split("\n").flatMap(settingOf);
  insist(await host.run(["sh", "-c", write, "sysctls", ...settings]));
}

function settingOf(line: string): string[] {
  const [, key = "", value = ""] = /^-?\s*(net[./]ipv[46][./][^\s=]+)\s*=\s*(.*?)\s*$/.exec(line) ?? [];
  // The first separator decides which of the two it is (sysctl.d(5)).
  return key === "" ? [] : [`${key[3] === "." ? key.replaceAll(".", "/") : key}=${value}`];
}
