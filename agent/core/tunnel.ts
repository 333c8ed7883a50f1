import { isCanonicalKey } from "../../protocol/names.ts";
import { type NetworkPlan, tunnelMtu } from "../../protocol/network.ts";
import type { WireguardPeer } from "../../protocol/wireguard.ts";
import type { DataPathPeer, DataPathPlan } from "./ports.ts";

/** What the WireGuard interface of this instance should be: a part of the data path's plan. */
export interface TunnelPlan {
  readonly peers: readonly WireguardPeer[];
  readonly network: NetworkPlan;
  /** Whose traffic a peer carries, by its key. */
  readonly sessionsOf: ReadonlyMap<string, readonly string[]>;
  /** Addresses that more than one device was granted: nobody has them. Leases rule this out; it is looked at all the same. */
  readonly contested: readonly string[];
}

export interface TunnelSettings {
  /** The instance's own addresses inside the tunnel, which devices probe and ask for names. Never out of a prefix. */
  readonly addresses: readonly string[];
  /** Of the way to the devices, not of the VPC's 9001. */
  readonly pathMtu: number;
}

/**
 * The peers and routes of a plan. A peer accepts exactly the addresses its sessions were granted and nothing else: that
 * is what makes a source address prove a user. A verified prefix is routed into the tunnel as a whole, so that packets
 * to an address that nobody leases end there.
 */
export function tunnelPlan(plan: DataPathPlan, settings: TunnelSettings): TunnelPlan {
  const keysOf = new Map<string, Set<string>>();
  const sessionsOf = new Map<string, string[]>();
  for (const peer of plan.peers) {
    sessionsOf.set(peer.wireguardKey, [...(sessionsOf.get(peer.wireguardKey) ?? []), peer.session]);
    for (const address of addressesOf(peer)) {
      keysOf.set(address, (keysOf.get(address) ?? new Set()).add(peer.wireguardKey));
    }
  }
  const contested = [...keysOf].flatMap(([address, keys]) => (keys.size > 1 ? [address] : []));
  const ipsOf = new Map<string, string[]>([...sessionsOf.keys()].map((key) => [key, []]));
  for (const [address, keys] of keysOf) {
    for (const key of keys) if (keys.size === 1) ipsOf.get(key)?.push(address);
  }
  return {
    peers: [...ipsOf].map(([publicKey, allowedIps]) => ({
      publicKey,
      allowedIps,
      endpoint: undefined,
      keepaliveS: 0,
    })),
    network: {
      mtu: tunnelMtu(settings.pathMtu),
      addresses: tunnelAddresses(plan, settings),
      routes: plan.routes.map((to) => ({ to, source: undefined })),
    },
    sessionsOf,
    contested,
  };
}

/** A host may have IPv6 switched off; without a prefix of it nobody asks at the tunnel's IPv6 address. */
export function tunnelAddresses({ routes }: DataPathPlan, { addresses }: TunnelSettings): string[] {
  return addresses.filter((address) => !isIpv6(address) || routes.some(isIpv6));
}

/** How often a peer that is called back to life sends, seconds: until it is set to its plan a moment later. */
const callEveryS = 1;

/**
 * The same peers for an interface that lost its memory: with the endpoints they were last seen at, and a keepalive that
 * makes each handshake at once. Without it a device notices only after 15 s that its keys are no longer known here.
 */
export function callBack(
  peers: readonly WireguardPeer[],
  endpoints: ReadonlyMap<string, string>,
): WireguardPeer[] {
  return peers.map((peer) => {
    const endpoint = endpoints.get(peer.publicKey);
    return endpoint === undefined ? peer : { ...peer, endpoint, keepaliveS: callEveryS };
  });
}

/**
 * The peers that WireGuard can have. One with the instance's own key it passes over in silence, and one whose key is
 * written in another way than it writes keys would be set and taken away again for ever: a device that says such a key
 * gets nowhere, and nobody else is disturbed.
 */
export function possiblePeers(peers: readonly WireguardPeer[], ownKey: string): readonly WireguardPeer[] {
  const isPossible = ({ publicKey }: WireguardPeer) => publicKey !== ownKey && isCanonicalKey(publicKey);
  return peers.every(isPossible) ? peers : peers.filter(isPossible);
}

function isIpv6(text: string): boolean {
  return text.includes(":");
}

function addressesOf({ ipv4, ipv6 }: DataPathPeer): string[] {
  return [...(ipv4 === undefined ? [] : [`${ipv4}/32`]), ...(ipv6 === undefined ? [] : [`${ipv6}/128`])];
}
