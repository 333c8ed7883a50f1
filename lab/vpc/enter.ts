import { mkdirSync, realpathSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

/**
 * A network namespace separates neither files nor Unix sockets by path: two instances would meet in
 * /run/wireguard/wg0.sock. So each host has a /run and an /etc/resolv.conf of its own, in the mount namespace that
 * `ip netns exec` makes for every process. Nothing but exec(2) lies between that process and the program, so that its id
 * and its parent-death signal are the program's.
 */
export function enterCommand(namespace: string, folder: string): [string, ...string[]] {
  return ["ip", "netns", "exec", namespace, "sh", "-c", settleIn, folder];
}

/** The same for a shell: defines a function that takes a host's name and a command. */
export function enterFunction(
  name: string,
  namespaceOf: (host: string) => string,
  foldersIn: string,
): string {
  const enter = `ip netns exec "${namespaceOf("")}$host" sh -c '${settleIn}' "${foldersIn}/$host" "$@"`;
  return `${name}() { host="$1"; shift; ${enter}; }`;
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
const mounts = [
  'mount --bind "$0/run" /run',
  ...(isInRun ? [] : [`mount --bind "$0/resolv.conf" ${resolverFile}`]),
];
const settleIn = [...mounts, 'exec "$@"'].join(" && ");

function resolved(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}
