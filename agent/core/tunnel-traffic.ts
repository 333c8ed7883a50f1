import type { Instant } from "../../protocol/time.ts";
import type { PeerReading, WireguardReading } from "../../protocol/wireguard.ts";
import type { SessionTraffic } from "./ports.ts";

interface Heard {
  readonly rxBytes: number;
  readonly handshakeAtS: number | undefined;
  readonly atMs: number | undefined;
}

/**
 * When each device was last heard. WireGuard tells the time of the last handshake, which is up to two minutes older than
 * the last packet, on a clock that may step; that more bytes have come than before is the better sign. Its time is looked
 * at where it is news: in a peer's first reading, and when it has changed.
 */
export class TunnelTraffic {
  /** BOUNDED: one per peer of the last reading. */
  #heard = new Map<string, Heard>();

  /** Takes a reading in; what is told is by session. */
  take(
    reading: WireguardReading,
    sessionsOf: ReadonlyMap<string, readonly string[]>,
    now: Instant,
  ): ReadonlyMap<string, SessionTraffic> {
    const before = this.#heard;
    this.#heard = new Map();
    const traffic = new Map<string, SessionTraffic>();
    for (const [key, peer] of reading.peers) {
      const heard = hear(before.get(key), peer, now);
      this.#heard.set(key, heard);
      const { rxBytes, txBytes, endpoint, handshakeAtS } = peer;
      const handshakeAtMs = handshakeAtS === undefined ? undefined : handshakeAtS * 1000;
      for (const session of sessionsOf.get(key) ?? []) {
        traffic.set(session, { rxBytes, txBytes, heardAtMs: heard.atMs, handshakeAtMs, endpoint });
      }
    }
    return traffic;
  }
}

function hear(before: Heard | undefined, peer: PeerReading, now: Instant): Heard {
  const { rxBytes, handshakeAtS } = peer;
  if (before !== undefined && rxBytes > before.rxBytes)
    return { rxBytes, handshakeAtS, atMs: now.monotonicMs };
  const isNews = before === undefined || handshakeAtS !== before.handshakeAtS;
  const atMs = isNews ? later(before?.atMs, handshakeAt(peer, now)) : before.atMs;
  return { rxBytes, handshakeAtS, atMs };
}

/** A handshake of the future is one of a clock that has stepped back since: at most now. */
function handshakeAt({ handshakeAtS }: PeerReading, now: Instant): number | undefined {
  if (handshakeAtS === undefined) return undefined;
  return now.monotonicMs - Math.max(0, now.wallMs - handshakeAtS * 1000);
}

function later(a: number | undefined, b: number | undefined): number | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return Math.max(a, b);
}
