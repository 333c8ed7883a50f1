import type { PrefixReading } from "../../../core/ports.ts";
import { type Line, skip } from "../line.ts";
import { judgeFilters } from "./filter-lines.ts";
import { type FiltersSeen, lookAtFilters } from "./filters.ts";
import { judgeForwarding } from "./forwarding.ts";
import { hostRunner } from "./host-command.ts";
import { findInterface, judgeInterface, type Link, readLinks } from "./interface.ts";
import { judgeLimits } from "./limits.ts";
import { judgePrograms, lookAtPrograms, type ProgramsSeen } from "./programs.ts";
import { lookAtRouting, type RoutingSeen } from "./routing.ts";
import { readSettings, type SettingsSeen } from "./settings.ts";
import { judgeRules, judgeWays, skipWays } from "./ways.ts";
import { judgeWireguard, lookAtWireguard, type WireguardSeen } from "./wireguard.ts";

export interface DataPathHost {
  readonly ip: string | undefined;
  readonly wireguardPort: number;
  readonly stateDir: string;
  readonly reading: PrefixReading;
}

/** What the data path needs of the host. */
export interface DataPathSeen {
  readonly link: Link | undefined;
  readonly settings: SettingsSeen;
  readonly programs: ProgramsSeen;
  readonly wireguard: WireguardSeen;
  /** Undefined without the network interface. */
  readonly routing: RoutingSeen | undefined;
  readonly filters: FiltersSeen;
}

/** Looks, and changes nothing that stays. */
export async function lookAtDataPath({
  ip,
  wireguardPort,
  stateDir,
  reading,
}: DataPathHost): Promise<DataPathSeen> {
  const run = hostRunner();
  const links = await readLinks(run);
  const mac = reading.is === "known" ? reading.interface.mac : undefined;
  const link = links.ok ? findInterface(links.value, { mac, ip }) : undefined;
  const prefixes = prefixesOf(reading) ?? [];
  const settings = readSettings(link?.name, stateDir);
  const [programs, wireguard, routing, filters] = await Promise.all([
    lookAtPrograms(run),
    lookAtWireguard(run, settings.agentUid),
    link === undefined ? undefined : lookAtRouting(run, link.name, prefixes),
    lookAtFilters(run, wireguardPort),
  ]);
  return { link, settings, programs, wireguard, routing, filters };
}

export function judgeDataPath(seen: DataPathSeen, { reading, wireguardPort }: DataPathHost): Line[] {
  const { link, settings, programs, wireguard, routing, filters } = seen;
  const prefixes = prefixesOf(reading);
  const waysOut = (routing?.ways ?? []).flatMap(({ out }) => (out.is === "by" ? [out.link] : []));
  const forwarding = judgeForwarding({
    settings: settings.settings,
    link: link?.name,
    hasIpv6Prefix: prefixes?.some((prefix) => prefix.includes(":")),
    ipv6Routes: routing?.ipv6Routes,
    waysOut,
  });
  return [
    ...judgePrograms(programs),
    programs.ip.ok ? judgeWireguard(wireguard) : skip("WireGuard", "needs the command ip"),
    programs.ip.ok ? judgeInterface(link) : skip("interface", "needs the command ip"),
    ...forwarding,
    ...judgeLimits(settings),
    ...linesOfWays(seen, prefixes, forwarding),
    ...judgeFilters(filters, wireguardPort),
  ];
}

function linesOfWays(
  { link, routing }: DataPathSeen,
  prefixes: readonly string[] | undefined,
  forwarding: readonly Line[],
): Line[] {
  if (link === undefined || routing === undefined) return skipWays("needs the interface");
  const off = forwarding.filter(({ name, result }) => name.endsWith(" forwarding") && result === "FAIL");
  const isOff = (prefix: string) =>
    off.some(({ name }) => name.startsWith(prefix.includes(":") ? "IPv6" : "IPv4"));
  const ways = routing.ways.filter(({ prefix }) => !isOff(prefix));
  if (ways.length > 0) return judgeWays({ ...routing, ways }, link.name);
  const why =
    prefixes === undefined ? "the metadata service" : prefixes.length === 0 ? "a prefix" : "forwarding";
  return [...skipWays(`needs ${why}`), judgeRules(routing.rules)];
}

function prefixesOf(reading: PrefixReading): readonly string[] | undefined {
  return reading.is === "known" ? [...reading.ipv4, ...reading.ipv6] : undefined;
}
