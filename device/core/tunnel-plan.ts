import type { NetworkPlan } from "../../protocol/network.ts";
import type { WireguardPeer } from "../../protocol/wireguard.ts";
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
  /** Without `*.`; names below them are meant too. */
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
 * One path that carries everything. A path on trial, if there is one, has a peer without a single address: nothing is
 * sent into it but the handshake that shows whether it works.
 */
export function tunnelPlan(path: Attached, trial: Attached | undefined, end: InstanceEnd): TunnelPlan {
  const sources = { 4: path.ipv4, 6: path.ipv6 };
  const wanted = [...new Set([...endPrefixes(end), ...path.routes])];
  // Without an address of its family a destination cannot be reached, and must not be swallowed.
  const routes = wanted.flatMap((to) => {
    const source = sources[to.includes(":") ? 6 : 4];
    return source === undefined ? [] : [{ to, source }];
  });
  const peers = [
    peerOf(
      path,
      routes.map(({ to }) => to),
    ),
  ];
  return {
    peers: trial === undefined ? peers : [...peers, peerOf(trial, [])],
    network: { mtu: path.mtu, addresses: ownAddresses(path), routes },
    names: namesOf(path, end),
  };
}

/** Nobody to talk to, and no way there. */
export const noTunnel: TunnelPlan = {
  peers: [],
  network: { mtu: 1280, addresses: [], routes: [] },
  names: undefined,
};

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
  const domains = [...new Set(path.domains.map((domain) => domain.replace(/^\*\./, "")))];
  return servers.length === 0 || domains.length === 0 ? undefined : { servers, domains };
}
