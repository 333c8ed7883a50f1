import type { Secret } from "./secret.ts";

/**
 * What a WireGuard interface holds, and how to bring it from one state to another without disturbing who stays.
 * Keys are written as on our wire: 32 bytes in base64url.
 */
export interface WireguardPeer {
  readonly publicKey: string;
  /** Canonical prefixes: the only sources accepted from this peer, and the destinations sent to it. */
  readonly allowedIps: readonly string[];
  /** `192.0.2.1:51820` or `[2001:db8::1]:51820`; undefined where the peer is the one that dials. */
  readonly endpoint: string | undefined;
  /** Persistent keepalive, seconds; 0 is off. */
  readonly keepaliveS: number;
}

export interface WireguardPlan {
  readonly privateKey: Secret;
  /** The public half, by which an interface is recognised that has the key already. */
  readonly publicKey: string;
  /** Undefined where any port will do: whoever dials. */
  readonly listenPort: number | undefined;
  readonly peers: readonly WireguardPeer[];
}

export interface PeerReading extends WireguardPeer {
  /** Somebody gave it a second secret by hand. We give none, so it keeps the peer from shaking hands. */
  readonly isPreshared: boolean;
  /** When the last handshake was completed, seconds since 1970; undefined before the first. */
  readonly handshakeAtS: number | undefined;
  readonly rxBytes: number;
  readonly txBytes: number;
}

export interface WireguardReading {
  /** Undefined before the interface was given a key. */
  readonly publicKey: string | undefined;
  readonly listenPort: number;
  /** What its own packets are marked with for the host's routing rules; 0 is not at all, which is how we have it. */
  readonly fwmark: number;
  readonly peers: ReadonlyMap<string, PeerReading>;
}

/** One peer to be set; what is undefined stays as it is. */
export interface PeerChange {
  readonly publicKey: string;
  /** All of them, also those it has. */
  readonly allowedIps: readonly string[];
  /** It holds addresses that it must lose and that nobody else is given: the list is emptied first. */
  readonly replaceAllowedIps: boolean;
  readonly endpoint: string | undefined;
  readonly keepaliveS: number | undefined;
  readonly forgetsPresharedKey: boolean;
}

/** One request: everything in `set` in its order, then everything in `remove`. */
export interface WireguardChange {
  readonly privateKey: Secret | undefined;
  readonly listenPort: number | undefined;
  readonly forgetsMark: boolean;
  readonly set: readonly PeerChange[];
  readonly remove: readonly string[];
}

export function isNoChange(change: WireguardChange): boolean {
  return (
    change.privateKey === undefined &&
    change.listenPort === undefined &&
    !change.forgetsMark &&
    change.set.length + change.remove.length === 0
  );
}

/**
 * The change that brings `held` to `wanted`. Peers that stay as they are do not appear in it, so their traffic and their
 * keys are not touched. An address that moves is only given to its new peer: WireGuard takes it from the old one in the
 * same step, so that there is no moment in which it belongs to nobody. No address may stand in two wanted peers.
 */
export function wireguardChange(held: WireguardReading, wanted: WireguardPlan): WireguardChange {
  const ownerOf = new Map(
    wanted.peers.flatMap(({ publicKey, allowedIps }) => allowedIps.map((ip) => [ip, publicKey] as const)),
  );
  const wantedKeys = new Set(wanted.peers.map(({ publicKey }) => publicKey));
  return {
    privateKey: held.publicKey === wanted.publicKey ? undefined : wanted.privateKey,
    listenPort: held.listenPort === wanted.listenPort ? undefined : wanted.listenPort,
    forgetsMark: held.fwmark !== 0,
    set: wanted.peers.flatMap((peer) => peerChange(held.peers.get(peer.publicKey), peer, ownerOf) ?? []),
    remove: [...held.peers.keys()].filter((key) => !wantedKeys.has(key)),
  };
}

/** Whether the interface is as planned: nothing is left to change. */
export function isAsPlanned(held: WireguardReading, wanted: WireguardPlan): boolean {
  return isNoChange(wireguardChange(held, wanted));
}

function peerChange(
  held: PeerReading | undefined,
  wanted: WireguardPeer,
  ownerOf: ReadonlyMap<string, string>,
): PeerChange | undefined {
  const { publicKey, allowedIps } = wanted;
  const endpoint = held?.endpoint === wanted.endpoint ? undefined : wanted.endpoint;
  const keepaliveS = (held?.keepaliveS ?? 0) === wanted.keepaliveS ? undefined : wanted.keepaliveS;
  const heldIps = new Set(held?.allowedIps);
  const gains = allowedIps.some((ip) => !heldIps.has(ip));
  // What another peer is given leaves this one by itself.
  const replaceAllowedIps = [...heldIps].some((ip) => !ownerOf.has(ip));
  const forgetsPresharedKey = held?.isPreshared ?? false;
  const isSame = held !== undefined && !gains && !replaceAllowedIps && !forgetsPresharedKey;
  if (isSame && endpoint === undefined && keepaliveS === undefined) return undefined;
  return { publicKey, allowedIps, replaceAllowedIps, endpoint, keepaliveS, forgetsPresharedKey };
}
