import { Secret } from "../../protocol/secret.ts";
import type {
  PeerReading,
  WireguardChange,
  WireguardPeer,
  WireguardPlan,
  WireguardReading,
} from "../../protocol/wireguard.ts";

/** A key that is recognised in a text: its number, 32 bytes long. */
export function keyOf(n: number): string {
  const bytes = Buffer.alloc(32);
  bytes.writeUInt32BE(n + 1, 0);
  return bytes.toString("base64url");
}

export function peer(n: number, ...allowedIps: string[]): WireguardPeer {
  return { publicKey: keyOf(n), allowedIps, endpoint: undefined, keepaliveS: 0 };
}

export function planOf(peers: readonly WireguardPeer[]): WireguardPlan {
  return { privateKey: new Secret(keyOf(101)), publicKey: keyOf(100), listenPort: 51_820, peers };
}

/** What a peer has before its first handshake. */
export const neverHeard = { isPreshared: false, handshakeAtS: undefined, rxBytes: 0, txBytes: 0 } as const;

/** What WireGuard holds after a change: its own rules, as simply as can be. */
export function heldAfter(held: WireguardReading, change: WireguardChange): WireguardReading {
  const peers = new Map([...held.peers].map(([key, entry]) => [key, { ...entry }]));
  for (const { publicKey, allowedIps, replaceAllowedIps, endpoint, keepaliveS, ...more } of change.set) {
    const before: PeerReading = peers.get(publicKey) ?? {
      ...{ publicKey, allowedIps: [], endpoint: undefined, keepaliveS: 0 },
      ...neverHeard,
    };
    for (const [key, other] of peers) {
      peers.set(key, { ...other, allowedIps: other.allowedIps.filter((ip) => !allowedIps.includes(ip)) });
    }
    const kept = replaceAllowedIps ? [] : before.allowedIps.filter((ip) => !allowedIps.includes(ip));
    peers.set(publicKey, {
      ...before,
      allowedIps: [...kept, ...allowedIps],
      endpoint: endpoint ?? before.endpoint,
      keepaliveS: keepaliveS ?? before.keepaliveS,
      isPreshared: before.isPreshared && !more.forgetsPresharedKey,
    });
  }
  for (const key of change.remove) peers.delete(key);
  return { ...held, fwmark: change.forgetsMark ? 0 : held.fwmark, peers };
}
