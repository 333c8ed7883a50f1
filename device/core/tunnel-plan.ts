import type { NetworkPlan } from "../../protocol/network.ts";
import type { WireguardPeer } from "../../protocol/wireguard.ts";
import { addressOfEndpoint, around } from "./around.ts";
import type { Attached } from "./attachment.ts";

/** What the device's interface, and its way of asking for names, should be. */
export interface TunnelPlan {
  readonly peers: readonly WireguardPeer[];
  readonly network: NetworkPlan;
  /** Undefined where names are left as they are. */
  readonly names: NamePlan | undefined;
}

export interface NamePlan {
  readonly servers: readonly string[];
  /** Without `*.`; names below them are meant too, so none stands below another. */
  readonly domains: readonly string[];
}

/** The instance's own end of the tunnel: where it answers echoes and resolves names. The same at every instance. */
export interface InstanceEnd {
  readonly ipv4: string | undefined;
  readonly ipv6: string | undefined;
}

/** Keeps the path open through the user's router, and tells an instance where its device is. Seconds. */
const keepaliveS = 25;

/**
 * Behind every route that the host has by itself, also those of a network manager: of two equal destinations the
 * host's own stays, and none of its routes is ever replaced.
 */
const metric = 32_000;

/**
 * One path that carries everything. A path on trial, if there is one, has a peer without a single address: nothing is
 * sent into it but the handshake that shows whether it works. `outside`: addresses that must not be sought in the tunnel
 * whatever the services cover, as the controller's; those of the instances themselves never are.
 */
export function tunnelPlan(
  path: Attached,
  trial: Attached | undefined,
  end: InstanceEnd,
  outside: readonly string[] = [],
): TunnelPlan {
  const sources = { 4: path.ipv4, 6: path.ipv6 };
  const sourceOf = (to: string) => sources[to.includes(":") ? 6 : 4];
  // Without an address of its family a destination cannot be reached, and must not be swallowed.
  const wanted = [...new Set([...endPrefixes(end), ...path.routes])].filter(
    (to) => sourceOf(to) !== undefined,
  );
  const endpoints = [path, ...(trial === undefined ? [] : [trial])].flatMap(
    ({ endpoint }) => addressOfEndpoint(endpoint) ?? [],
  );
  const routes = around(wanted, [...endpoints, ...outside]).map((to) => ({ to, source: sourceOf(to) }));
  const peers = [peerOf(path, wanted)];
  return {
    peers: trial === undefined ? peers : [...peers, peerOf(trial, [])],
    network: { mtu: path.mtu, addresses: ownAddresses(path), routes, metric },
    names: namesOf(path, end),
  };
}

/** Nobody to talk to, and no way there. */
export const noTunnel: TunnelPlan = {
  peers: [],
  network: { mtu: 1280, addresses: [], routes: [] },
  names: undefined,
};

/** The plan for a host that has IPv6 switched off: it takes no such address, and refuses whatever comes with one. */
export function withoutIpv6(plan: TunnelPlan): TunnelPlan {
  const isIpv4 = (text: string) => !text.includes(":");
  const { network, names } = plan;
  const servers = names?.servers.filter(isIpv4) ?? [];
  return {
    peers: plan.peers,
    network: {
      ...network,
      addresses: network.addresses.filter(isIpv4),
      routes: network.routes.filter(({ to }) => isIpv4(to)),
    },
    names: names === undefined || servers.length === 0 ? undefined : { ...names, servers },
  };
}

/** Where an echo shows that a path works: over the family the path has. */
export function echoTarget({ ipv4, ipv6 }: Attached, end: InstanceEnd): string | undefined {
  return (ipv4 && end.ipv4) || (ipv6 && end.ipv6) || undefined;
}

function peerOf({ wireguardKey, endpoint }: Attached, allowedIps: readonly string[]): WireguardPeer {
  return { publicKey: wireguardKey, allowedIps, endpoint, keepaliveS };
}

function ownAddresses({ ipv4, ipv6 }: Attached): string[] {
  return [...(ipv4 === undefined ? [] : [`${ipv4}/32`]), ...(ipv6 === undefined ? [] : [`${ipv6}/128`])];
}

function endPrefixes({ ipv4, ipv6 }: InstanceEnd): string[] {
  return [...(ipv4 === undefined ? [] : [`${ipv4}/32`]), ...(ipv6 === undefined ? [] : [`${ipv6}/128`])];
}

/** The instance resolves: its answers are what opens its firewall for a service's domain. */
function namesOf(path: Attached, end: InstanceEnd): NamePlan | undefined {
  const servers = [path.ipv4 && end.ipv4, path.ipv6 && end.ipv6].filter((server) => server !== undefined);
  const domains = new Set(path.domains.map((domain) => domain.replace(/^\*\./, "")));
  const highest = [...domains].filter((domain) => !parentsOf(domain).some((parent) => domains.has(parent)));
  return servers.length === 0 || highest.length === 0 ? undefined : { servers, domains: highest };
}

function parentsOf(domain: string): string[] {
  const labels = domain.split(".");
  return labels.slice(1).map((_, i) => labels.slice(i + 1).join("."));
}
