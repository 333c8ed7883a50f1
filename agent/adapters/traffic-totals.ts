import type { SessionView } from "../../protocol/view.ts";

interface Bytes {
  readonly rx: number;
  readonly tx: number;
}

const none: Bytes = { rx: 0, tx: 0 };

/**
 * What all sessions have carried since the first look, of counters that each begin and end with their session: a sum that
 * never goes down. What a session carries after the last look at it is not in it.
 */
export class TrafficTotals {
  /**
   * Undefined before the first look; a session without numbers is one whose bytes are not known yet.
   * BOUNDED: one per session of the last look.
   */
  #before: ReadonlyMap<string, Bytes | undefined> | undefined;

  /** What was carried since the last look. */
  take(sessions: readonly SessionView[]): Bytes {
    const now = new Map<string, Bytes | undefined>();
    let [rx, tx] = [0, 0];
    for (const { session, state, rxBytes, txBytes } of sessions) {
      const before = this.#begin(session);
      if (rxBytes === undefined || txBytes === undefined) {
        // One that is not granted has no peer yet, which will begin at nothing.
        now.set(session, before ?? (state === "granted" ? undefined : none));
        continue;
      }
      now.set(session, { rx: rxBytes, tx: txBytes });
      if (before === undefined) continue;
      rx += grown(before.rx, rxBytes);
      tx += grown(before.tx, txBytes);
    }
    this.#before = now;
    return { rx, tx };
  }

  /** A session that appears after the first look began at nothing; one that was there before has a past not of ours. */
  #begin(session: string): Bytes | undefined {
    if (this.#before === undefined) return undefined;
    return this.#before.has(session) ? this.#before.get(session) : none;
  }
}

/** A counter that is lower than before began anew, as with a peer that was set again. */
function grown(before: number, now: number): number {
  return now >= before ? now - before : now;
}
