import type { Core } from "../../protocol/core.ts";
import type { Failure, Result } from "../../protocol/failures.ts";
import { earliest, type Instant } from "../../protocol/time.ts";
import type { Attached } from "./attachment.ts";
import type { Verdict } from "./probe.ts";
import { type InstanceEnd, noTunnel, type TunnelPlan, tunnelPlan } from "./tunnel-plan.ts";

/** Where this device's packets go. */
export type TunnelState =
  | { readonly kind: "down" }
  /** Nothing works yet, so there is nothing to keep: everything points to `to` already. */
  | { readonly kind: "opening"; readonly to: Attached; readonly trial: Trial }
  | { readonly kind: "up"; readonly on: Attached }
  /** `from` carries the traffic until `to` has shown that it works, or `from` has shown that it does not. */
  | { readonly kind: "moving"; readonly from: Attached; readonly to: Attached; readonly trial: Trial };

interface Trial {
  /** Handshakes begun. */
  readonly attempt: number;
  /** When the next one begins, if this one leads to nothing. */
  readonly againAtMs: number;
}

export type TunnelInput =
  /** The attachment the device holds, or none. */
  | { readonly kind: "want"; readonly attachment: Attached | undefined }
  | { readonly kind: "applied"; readonly effectId: number; readonly result: Result<void> }
  | { readonly kind: "handshakeRead"; readonly effectId: number; readonly isDone: boolean }
  /** The probe's word on the path that carries the traffic. */
  | { readonly kind: "verdict"; readonly path: string; readonly verdict: Verdict }
  /** Somebody else changed the interface, or its process was lost: it is brought to the plan again. */
  | { readonly kind: "changed" }
  | { readonly kind: "tick" };

export type TunnelEffect =
  /** Bring everything to the plan; the peer `afresh` is to forget what it tried before. Answer with `applied`. */
  | {
      readonly do: "apply";
      readonly effectId: number;
      readonly plan: TunnelPlan;
      readonly afresh: string | undefined;
    }
  /** Has this peer completed a handshake? Answer with `handshakeRead`. */
  | { readonly do: "readHandshake"; readonly effectId: number; readonly publicKey: string }
  /** The path that carries the traffic from now on is another, or there is none. */
  | { readonly do: "carries"; readonly path: Attached | undefined }
  | { readonly do: "tell"; readonly failure: Failure };

/**
 * A handshake takes a round trip. WireGuard repeats one after 5 s only, and the instance may know the device a moment
 * later: the first ones are begun in quick succession.
 */
const attempts = { minMs: 250, quick: 8, maxMs: 4_000 } as const;
const lookEveryMs = 20;
const retry = { minMs: 250, maxMs: 8_000 } as const;

/** One attachment's path, for telling it from the next one's. */
export function pathOf({ session, epoch }: Attached): string {
  return `${session}/${epoch}`;
}

/**
 * The device's tunnel: it follows the attachment, and takes a new one without tearing down before the new one works. One
 * apply at a time, whole plans; what changes meanwhile is in the next.
 */
export class DeviceTunnel implements Core<TunnelInput, TunnelEffect> {
  readonly #end: InstanceEnd;
  #state: TunnelState = { kind: "down" };
  #effects = 0;
  #applying: { readonly effectId: number; readonly carrier: Attached | undefined } | undefined;
  /** Who carries the traffic by the last apply that worked. */
  #carrier: Attached | undefined;
  /** The plan is another than that of the apply that runs or ran last. */
  #changed = false;
  /** Before the first word nothing is known to be wrong with what an earlier process left. */
  #isTold = false;
  /** The path the probe has found dead, until it hears from it or from another. */
  #dead: string | undefined;
  #failures = 0;
  #retryAtMs: number | undefined;
  #look: { readonly effectId: number | undefined; readonly atMs: number } = { effectId: undefined, atMs: 0 };

  constructor(end: InstanceEnd) {
    this.#end = end;
  }

  get state(): TunnelState {
    return this.#state;
  }

  handle(input: TunnelInput, now: Instant): readonly TunnelEffect[] {
    return [...this.#take(input, now), ...this.#next(now)];
  }

  nextDeadline(): number | undefined {
    if (this.#applying !== undefined) return undefined;
    if (this.#changed) return this.#retryAtMs ?? 0;
    const trial = trialOf(this.#state);
    if (trial === undefined) return undefined;
    return earliest(trial.againAtMs, this.#look.effectId === undefined ? this.#look.atMs : undefined);
  }

  #take(input: TunnelInput, now: Instant): readonly TunnelEffect[] {
    switch (input.kind) {
      case "want":
        this.#want(input.attachment, now);
        return [];
      case "applied":
        if (this.#applying?.effectId !== input.effectId) return [];
        return this.#applied(this.#applying.carrier, input.result, now);
      case "handshakeRead":
        if (input.effectId !== this.#look.effectId) return [];
        this.#look = { effectId: undefined, atMs: now.monotonicMs + lookEveryMs };
        if (input.isDone) this.#works();
        return [];
      case "verdict":
        this.#judged(input.path, input.verdict, now);
        return [];
      case "changed":
        this.#changed = true;
        return [];
      case "tick":
        return [];
    }
  }

  #want(to: Attached | undefined, now: Instant): void {
    if (to === undefined && this.#state.kind === "down" && this.#isTold) return;
    this.#isTold = true;
    this.#become(
      to === undefined ? { kind: "down" } : onTheWay(this.#state, to, this.#dead, firstTrial(now)),
    );
  }

  /** The peer on trial has completed a handshake: it knows this device, and packets find both ways. */
  #works(): void {
    if ("trial" in this.#state) this.#become({ kind: "up", on: this.#state.to });
  }

  /** With nothing left to keep, the traffic goes where it is wanted, whether that has answered or not. */
  #judged(path: string, verdict: Verdict, now: Instant): void {
    this.#dead = verdict === "dead" ? path : undefined;
    const state = this.#state;
    if (state.kind !== "moving" || pathOf(state.from) !== this.#dead) return;
    this.#become({ kind: "opening", to: state.to, trial: firstTrial(now) });
  }

  #become(next: TunnelState): void {
    this.#state = next;
    this.#changed = true;
    this.#look = { effectId: undefined, atMs: 0 };
  }

  #applied(carrier: Attached | undefined, result: Result<void>, now: Instant): readonly TunnelEffect[] {
    this.#applying = undefined;
    if (result.ok) {
      this.#failures = 0;
      this.#retryAtMs = undefined;
      const before = this.#carrier;
      this.#carrier = carrier;
      const isSame = (before && pathOf(before)) === (carrier && pathOf(carrier));
      return isSame ? [] : [{ do: "carries", path: carrier }];
    }
    this.#changed = true;
    const waitMs = Math.min(retry.maxMs, retry.minMs * 2 ** Math.min(this.#failures, 16));
    this.#retryAtMs = now.monotonicMs + waitMs;
    this.#failures += 1;
    return this.#failures === 1 ? [{ do: "tell", failure: result.failure }] : [];
  }

  #next(now: Instant): readonly TunnelEffect[] {
    if (this.#applying !== undefined) return [];
    if (this.#changed) return (this.#retryAtMs ?? 0) <= now.monotonicMs ? [this.#apply(undefined)] : [];
    const state = this.#state;
    switch (state.kind) {
      case "down":
      case "up":
        return [];
      case "opening":
      case "moving":
        return this.#try(state, now);
    }
  }

  #try(state: Extract<TunnelState, { trial: Trial }>, now: Instant): readonly TunnelEffect[] {
    const { trial, to } = state;
    if (now.monotonicMs >= trial.againAtMs) {
      const slower = Math.min(Math.max(0, trial.attempt - attempts.quick), 16);
      const waitMs = Math.min(attempts.maxMs, attempts.minMs * 2 ** slower);
      this.#state = { ...state, trial: { attempt: trial.attempt + 1, againAtMs: now.monotonicMs + waitMs } };
      this.#look = { effectId: undefined, atMs: 0 };
      return [this.#apply(to.wireguardKey)];
    }
    if (this.#look.effectId !== undefined || now.monotonicMs < this.#look.atMs) return [];
    const effectId = ++this.#effects;
    this.#look = { effectId, atMs: this.#look.atMs };
    return [{ do: "readHandshake", effectId, publicKey: to.wireguardKey }];
  }

  #apply(afresh: string | undefined): TunnelEffect {
    this.#changed = false;
    const effectId = ++this.#effects;
    this.#applying = { effectId, carrier: carrierOf(this.#state) };
    return { do: "apply", effectId, plan: this.#plan(), afresh };
  }

  #plan(): TunnelPlan {
    const state = this.#state;
    switch (state.kind) {
      case "down":
        return noTunnel;
      case "opening":
        return tunnelPlan(state.to, undefined, this.#end);
      case "up":
        return tunnelPlan(state.on, undefined, this.#end);
      case "moving":
        return tunnelPlan(state.from, state.to, this.#end);
    }
  }
}

/** The state that leads to `to`. A path that was found dead is not kept. */
function onTheWay(state: TunnelState, to: Attached, dead: string | undefined, trial: Trial): TunnelState {
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

function trialOf(state: TunnelState): Trial | undefined {
  return "trial" in state ? state.trial : undefined;
}

/** Where the traffic goes now; an opening path is probed too: it may be dead. */
function carrierOf(state: TunnelState): Attached | undefined {
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

function firstTrial(now: Instant): Trial {
  return { attempt: 0, againAtMs: now.monotonicMs + attempts.minMs };
}

/**
 * Whether two attachments are one peer: then nothing is tried, it is only set. Other addresses of the same instance are a
 * new lease there, and the old one's are no longer accepted.
 */
function isSamePeer(a: Attached, b: Attached): boolean {
  return a.wireguardKey === b.wireguardKey;
}
