import { mkdirSync, realpathSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

/**
 * A network namespace separates neither files nor Unix sockets by path: two instances would meet in
 * /run/wireguard/wg0.sock. So each host has a /run and an /etc/resolv.conf of its own, in the mount namespace that
 * `ip netns exec` makes for every process. Nothing but exec(2) lies between that process and the program, so that its id
 * and its parent-death signal are the program's.
 */
export function enterCommand(namespace: string, folder: string): [string, ...string[]] {
  const mounts = ['mount --bind "$0/run" /run'];
  if (!isInRun) mounts.push(`mount --bind "$0/resolv.conf" ${resolverFile}`);
  return ["ip", "netns", "exec", namespace, "sh", "-c", [...mounts, 'exec "$@"'].join(" && "), folder];
}

export function makeHostFolder(folder: string, nameServers: readonly string[] = []): void {
  mkdirSync(join(folder, "run"), { recursive: true, mode: 0o755 });
  const file = join(folder, isInRun ? resolverFile : "resolv.conf");
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, nameServers.map((server) => `nameserver ${server}\n`).join(""));
}

/** /etc/resolv.conf, or what it is a link to: with systemd-resolved, a file in /run. */
const resolverFile = resolved("/etc/resolv.conf");
const isInRun = resolverFile.startsWith("/run/");

function resolved(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}
