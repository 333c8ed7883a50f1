import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { instanceInterface } from "../../../../protocol/tunnel.ts";

/** Settings of the kernel by their path under /proc/sys; one that is absent here is not in the map. */
export type Settings = ReadonlyMap<string, number>;

export interface SettingsSeen {
  readonly settings: Settings;
  /** Who owns the state directory, and so who the agent is; undefined before its first start. */
  readonly agentUid: number | undefined;
  /** Whether this process may listen at every port without being root. */
  readonly mayBind: boolean;
}

export const keys = {
  forwarding4: "net/ipv4/ip_forward",
  forwarding6: "net/ipv6/conf/all/forwarding",
  forwardingOf: (link: string) => `net/ipv4/conf/${link}/forwarding`,
  acceptRaOf: (link: string) => `net/ipv6/conf/${link}/accept_ra`,
  sourceCheckOf: (link: string) => `net/ipv4/conf/${link}/rp_filter`,
  connectionsMax: "net/netfilter/nf_conntrack_max",
  connections: "net/netfilter/nf_conntrack_count",
  firstFreePort: "net/ipv4/ip_unprivileged_port_start",
} as const;

export function readSettings(link: string | undefined, stateDir: string): SettingsSeen {
  const links = [...(link === undefined ? [] : [link]), instanceInterface];
  const wanted = [
    ...[keys.forwarding4, keys.forwarding6, keys.connectionsMax, keys.connections, keys.firstFreePort],
    ...links.flatMap((name) => [keys.forwardingOf(name), keys.acceptRaOf(name)]),
    ...["all", ...links].map(keys.sourceCheckOf),
  ];
  return {
    settings: new Map(
      wanted.flatMap((key) => {
        const value = readNumber(key);
        return value === undefined ? [] : [[key, value] as const];
      }),
    ),
    agentUid: ownerOf(stateDir),
    mayBind: process.getuid?.() !== 0 && hasCapability(netBindService),
  };
}

/** As sysctl(8) names it: with dots, unless an interface's name has one. */
export function settingName(key: string): string {
  return key.includes(".") ? key : key.replaceAll("/", ".");
}

/** What to do about a setting that the package makes at every boot, and something has undone. */
export function setTo(key: string, value: number): string {
  return `${setting(key, value)} for now. ${everyBoot}; \`sysctl --system\` shows what overrules it.`;
}

/** What to do about a setting for which the package's value does not do. */
export function setBeyondTo(key: string, value: number): string {
  return `${setting(key, value)} for now; for every boot a line in /etc/sysctl.d/70-connector.conf.`;
}

export const everyBoot = "For every boot it is in the package, or set by scripts/host-setup.sh";

function setting(key: string, value: number): string {
  return `sysctl -w ${settingName(key)}=${value}`;
}

function readNumber(key: string): number | undefined {
  try {
    const value = Number.parseInt(readFileSync(join("/proc/sys", key), "utf8"), 10);
    return Number.isInteger(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function ownerOf(path: string): number | undefined {
  try {
    return statSync(path).uid;
  } catch {
    return undefined;
  }
}

/** capabilities(7), linux/capability.h. */
const netBindService = 10n;

function hasCapability(bit: bigint): boolean {
  const [, effective = "0"] = /^CapEff:\s*([0-9a-f]+)/m.exec(readFileSync("/proc/self/status", "utf8")) ?? [];
  return ((BigInt(`0x${effective}`) >> bit) & 1n) === 1n;
}
