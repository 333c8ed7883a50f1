import { parsePrefix } from "../../protocol/address.ts";
import type { ResourceSpec } from "../../protocol/specs.ts";

/** A connection as the rule of the most specific entry speaks of it. */
export interface Connection {
  readonly group: string;
  /** The address at the private end. */
  readonly private: string;
  readonly opened: "by user" | "by server";
  readonly protocol: "tcp" | "udp" | "icmp" | "gre";
  readonly port: number;
}

/**
 * The rule of `firewall-entries.ts` word by word, with no thought of chains: look at every entry, keep those that
 * match, find the smallest count of addresses and then of ports among them, and ask whether one of those lets it through.
 */
export function isAllowed(
  services: readonly ResourceSpec[],
  connection: Connection,
  resolve: (domain: string) => readonly string[],
): boolean {
  const matching = services
    .filter((entry) => "cidr" in entry.destination || entry.groups.includes(connection.group))
    .filter((entry) => addresses(entry) !== undefined && portsHold(entry));
  const fewestAddresses = smallest(matching.map((entry) => addresses(entry) ?? 0n));
  const nearest = matching.filter((entry) => addresses(entry) === fewestAddresses);
  const fewestPorts = smallest(nearest.map((entry) => BigInt(portCount(entry))));
  return nearest
    .filter((entry) => BigInt(portCount(entry)) === fewestPorts)
    .some(
      (entry) =>
        entry.groups.includes(connection.group) && (connection.opened === "by user" || entry.serverInitiated),
    );

  /** How many addresses the entry's destination holds, if it holds this one. */
  function addresses({ destination }: ResourceSpec): bigint | undefined {
    if ("domain" in destination) {
      return resolve(destination.domain.replace("*.", "")).includes(connection.private) ? 1n : undefined;
    }
    const outer = parsePrefix(destination.cidr);
    const isV6 = connection.private.includes(":");
    const inner = parsePrefix(`${connection.private}/${isV6 ? 128 : 32}`);
    if (!outer.ok || !inner.ok || outer.value.family !== inner.value.family) return undefined;
    const size = 1n << BigInt((isV6 ? 128 : 32) - outer.value.length);
    const isIn = inner.value.first >= outer.value.first && inner.value.first < outer.value.first + size;
    return isIn ? size : undefined;
  }

  function portsHold({ protocol, ports }: ResourceSpec): boolean {
    if (protocol === "any") return true;
    if (protocol !== connection.protocol) return false;
    return (
      ports.length === 0 || ports.some(({ from, to }) => from <= connection.port && connection.port <= to)
    );
  }
}

function portCount({ protocol, ports }: ResourceSpec): number {
  if (protocol === "any") return 1_000_000;
  if (ports.length === 0) return 65_536;
  return new Set(ports.flatMap(({ from, to }) => Array.from({ length: to - from + 1 }, (_, i) => from + i)))
    .size;
}

function smallest(values: readonly bigint[]): bigint | undefined {
  return values.reduce<bigint | undefined>(
    (least, v) => (least === undefined || v < least ? v : least),
    undefined,
  );
}
