import type { Instant } from "../../protocol/time.ts";
import type { Attached } from "./attachment.ts";

/** Where this device's packets go. */
export type TunnelState =
  | { readonly kind: "down" }
  /** Nothing works, so there is nothing to keep: everything points to `to` already. */
  | { readonly kind: "opening"; readonly to: Attached; readonly trial: Trial }
  | { readonly kind: "up"; readonly on: Attached }
  /** `from` carries the traffic until `to` has shown that it works, or `from` has shown that it does not. */
  | { readonly kind: "moving"; readonly from: Attached; readonly to: Attached; readonly trial: Trial };

export interface Trial {
  /** Handshakes begun again. */
  readonly attempt: number;
  /** When the next one begins, if this one leads to nothing; undefined until the host has begun this one. */
  readonly againAtMs: number | undefined;
}

const firstTrial: Trial = { attempt: 0, againAtMs: undefined };

/**
 * A handshake takes a round trip. WireGuard repeats one after 5 s only, and the instance may know the device a moment
 * later: the first ones are begun in quick succession, the very first as soon as a near instance must have answered.
 */
const attempts = { nearMs: 60, rtts: 3, minMs: 250, quick: 8, maxMs: 4_000 } as const;

/** One attachment's path, for telling it from the next one's. */
export function pathOf({ session, epoch }: Attached): string {
  return `${session}/${epoch}`;
}

/** The state that leads to `to`. A path that was found dead is not kept. */
export function onTheWay(state: TunnelState, to: Attached, dead: string | undefined): TunnelState {
  const trial = firstTrial;
  switch (state.kind) {
    case "down":
      return { kind: "opening", to, trial };
    case "opening":
      return isSamePeer(state.to, to) ? { ...state, to } : { ...state, to, trial };
    case "up":
      if (isSamePeer(state.on, to)) return { kind: "up", on: to };
      return pathOf(state.on) === dead
        ? { kind: "opening", to, trial }
        : { kind: "moving", from: state.on, to, trial };
    case "moving":
      // Back to where the traffic still is, the same with other routes, or on to somewhere else.
      if (isSamePeer(state.from, to)) return { kind: "up", on: to };
      return isSamePeer(state.to, to) ? { ...state, to } : { ...state, to, trial };
  }
}

/**
 * The state after the path `dead` was found dead. With nothing left to keep, the traffic goes where it is wanted, whether
 * that has answered or not; where nothing else is wanted, the same instance is tried anew.
 */
export function afterDeath(state: TunnelState, dead: string): TunnelState {
  switch (state.kind) {
    case "down":
    case "opening":
      return state;
    case "up":
      return pathOf(state.on) === dead ? { kind: "opening", to: state.on, trial: firstTrial } : state;
    case "moving":
      return pathOf(state.from) === dead ? { kind: "opening", to: state.to, trial: firstTrial } : state;
  }
}

/** Where the traffic goes now; an opening path is probed too: it may be dead. */
export function carrierOf(state: TunnelState): Attached | undefined {
  switch (state.kind) {
    case "down":
      return undefined;
    case "opening":
      return state.to;
    case "up":
      return state.on;
    case "moving":
      return state.from;
  }
}

/** The trial from the moment on in which its handshake has begun. `rttMs`: to another instance, as far as it is known. */
export function begun(trial: Trial, rttMs: number | undefined, now: Instant): Trial {
  if (trial.againAtMs !== undefined) return trial;
  const { nearMs, rtts, minMs, quick, maxMs } = attempts;
  const slower = Math.min(Math.max(0, trial.attempt - quick), 16);
  const usualMs = Math.min(maxMs, minMs * 2 ** slower);
  const soonMs = rttMs === undefined ? minMs : nearMs + rtts * rttMs;
  // Each one begun makes the one before void: who is further away than it seemed has time for the next.
  const waitMs = Math.min(usualMs, soonMs * 2 ** Math.min(trial.attempt, 8));
  return { ...trial, againAtMs: now.monotonicMs + waitMs };
}

/**
 * Whether two attachments are one peer: then nothing is tried, it is only set. Other addresses of the same instance are a
 * new lease there, and the old one's are no longer accepted.
 */
function isSamePeer(a: Attached, b: Attached): boolean {
  return a.wireguardKey === b.wireguardKey;
}
