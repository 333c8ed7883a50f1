import type { Core } from "../../protocol/core.ts";
import type { Failure, Result } from "../../protocol/failures.ts";
import { earliest, type Instant } from "../../protocol/time.ts";
import type { Attached } from "./attachment.ts";
import type { Verdict } from "./probe.ts";
import { type InstanceEnd, noTunnel, type TunnelPlan, tunnelPlan } from "./tunnel-plan.ts";
import { afterDeath, begun, carrierOf, onTheWay, pathOf, type TunnelState } from "./tunnel-state.ts";

export type TunnelInput =
  /** The attachment the device holds, or none. */
  | { readonly kind: "want"; readonly attachment: Attached | undefined }
  /** Addresses that must be reached outside the tunnel, whatever the services cover: all of them, anew. */
  | { readonly kind: "outside"; readonly addresses: readonly string[] }
  | { readonly kind: "applied"; readonly effectId: number; readonly result: Result<Applied> }
  | { readonly kind: "handshakeRead"; readonly effectId: number; readonly isDone: boolean }
  /** The probe's word on the path that carries the traffic. */
  | {
      readonly kind: "verdict";
      readonly path: string;
      readonly verdict: Verdict;
      readonly rttMs?: number | undefined;
    }
  /** Somebody else changed the interface, or its process was lost: it is brought to the plan again. */
  | { readonly kind: "changed" }
  | { readonly kind: "tick" };

/** Packets go where they should; only names may have been left out. */
export interface Applied {
  readonly names: Failure | undefined;
}

export type TunnelEffect =
  /**
   * Bring everything to the plan; the peer `afresh` is to forget what it tried before. `looks`: see first how things are,
   * which takes a busy host longer than the change; else they are taken to be as the last apply left them. Answer with
   * `applied`.
   */
  | {
      readonly do: "apply";
      readonly effectId: number;
      readonly plan: TunnelPlan;
      readonly afresh: string | undefined;
      readonly looks: boolean;
    }
  /** Has this peer completed a handshake? Answer with `handshakeRead`. */
  | { readonly do: "readHandshake"; readonly effectId: number; readonly publicKey: string }
  /** The path that carries the traffic from now on is another, or there is none. */
  | { readonly do: "carries"; readonly path: Attached | undefined }
  /** What is wrong now is another thing than before, or nothing any more. */
  | { readonly do: "tell"; readonly problem: Failure | undefined };

/** Often while an answer is likely: reading the kernel's WireGuard is a command each time. */
const look = { everyMs: 20, laterEveryMs: 250, quickAttempts: 8 } as const;
const retry = { minMs: 250, maxMs: 8_000 } as const;
const look0 = { effectId: undefined, atMs: 0 } as const;
/** What others changed (routes, a resolv.conf that a DHCP client wrote anew) is found by applying the plan again. */
const applyAgain = { everyMs: 30_000, namesEveryMs: 5_000, unlookedMs: 2_000 } as const;

/**
 * The device's tunnel: it follows the attachment, and takes a new one without tearing down before the new one works. One
 * apply at a time, whole plans; what changes meanwhile is in the next.
 */
export class DeviceTunnel implements Core<TunnelInput, TunnelEffect> {
  readonly #end: InstanceEnd;
  #state: TunnelState = { kind: "down" };
  #outside: readonly string[] = [];
  #effects = 0;
  #applying: Applying | undefined;
  /** Nobody has said since the last apply began that things are not as it leaves them. */
  #isKnown = false;
  #isUnlooked = false;
  /** Who carries the traffic by the last apply that worked. */
  #carrier: Attached | undefined;
  /** The plan is another than that of the apply that runs or ran last. */
  #changed = false;
  /** Before the first word nothing is known to be wrong with what an earlier process left. */
  #isTold = false;
  /** The path the probe has found dead, until it hears from it or from another. */
  #dead: string | undefined;
  /** How far instances are, which are all in one region. */
  #rttMs: number | undefined;
  #failures = 0;
  #retryAtMs: number | undefined;
  /** When the plan is applied again though nothing is known to have changed. */
  #againAtMs: number | undefined;
  #problem: string | undefined;
  /** The peer that is to begin anew, until it has. */
  #afresh: string | undefined;
  #look: { readonly effectId: number | undefined; readonly atMs: number } = look0;

  constructor(end: InstanceEnd) {
    this.#end = end;
  }

  get state(): TunnelState {
    return this.#state;
  }

  /** Everything asked for is in place, as far as this is known. */
  get isSettled(): boolean {
    return this.#applying === undefined && !this.#changed;
  }

  handle(input: TunnelInput, now: Instant): readonly TunnelEffect[] {
    return [...this.#take(input, now), ...this.#next(now)];
  }

  nextDeadline(): number | undefined {
    if (this.#applying !== undefined) return undefined;
    if (this.#changed) return this.#retryAtMs ?? 0;
    if (!("trial" in this.#state)) return this.#againAtMs;
    if (this.#look.effectId !== undefined) return this.#againAtMs;
    return earliest(this.#againAtMs, this.#state.trial.againAtMs, this.#look.atMs);
  }

  #take(input: TunnelInput, now: Instant): readonly TunnelEffect[] {
    switch (input.kind) {
      case "want":
        this.#want(input.attachment);
        return [];
      case "outside":
        this.#goOutside(input.addresses);
        return [];
      case "applied":
        if (this.#applying?.effectId !== input.effectId) return [];
        return this.#applied(this.#applying, input.result, now);
      case "handshakeRead":
        if (input.effectId !== this.#look.effectId) return [];
        this.#looked(input.isDone, now);
        return [];
      case "verdict":
        this.#rttMs = input.rttMs ?? this.#rttMs;
        this.#judged(input.path, input.verdict);
        return [];
      case "changed":
        this.#changed = true;
        this.#isKnown = false;
        return [];
      case "tick":
        return [];
    }
  }

  #want(to: Attached | undefined): void {
    if (to === undefined && this.#state.kind === "down" && this.#isTold) return;
    this.#isTold = true;
    this.#retryAtMs = undefined;
    this.#become(to === undefined ? { kind: "down" } : onTheWay(this.#state, to, this.#dead));
  }

  #goOutside(addresses: readonly string[]): void {
    const sorted = addresses.toSorted();
    if (sorted.join() === this.#outside.join()) return;
    this.#outside = sorted;
    if (this.#state.kind !== "down") this.#changed = true;
  }

  /** A peer that has completed a handshake knows this device, and packets find both ways. */
  #looked(isDone: boolean, now: Instant): void {
    if (!("trial" in this.#state)) return;
    const { to, trial } = this.#state;
    const everyMs = trial.attempt <= look.quickAttempts ? look.everyMs : look.laterEveryMs;
    this.#look = { effectId: undefined, atMs: now.monotonicMs + everyMs };
    if (isDone) this.#become({ kind: "up", on: to });
  }

  #judged(path: string, verdict: Verdict): void {
    const state = this.#state;
    this.#dead = verdict === "dead" ? path : undefined;
    switch (verdict) {
      case "alive":
        // What has answered works, whoever notices first.
        if (state.kind === "opening" && pathOf(state.to) === path) this.#become({ kind: "up", on: state.to });
        return;
      case "dead": {
        const next = afterDeath(state, path);
        if (next === state) return;
        this.#become(next);
        // An instance that has started again has forgotten the keys, and WireGuard by itself notices after 15 s.
        if (state.kind === "up") this.#afresh = state.on.wireguardKey;
      }
    }
  }

  #become(next: TunnelState): void {
    this.#state = next;
    this.#changed = true;
    this.#afresh = undefined;
  }

  #applied({ carrier, looks }: Applying, result: Result<Applied>, now: Instant): readonly TunnelEffect[] {
    this.#applying = undefined;
    if (!result.ok) {
      this.#changed = true;
      this.#isKnown = false;
      const waitMs = Math.min(retry.maxMs, retry.minMs * 2 ** Math.min(this.#failures, 16));
      this.#retryAtMs = now.monotonicMs + waitMs;
      this.#failures += 1;
      return this.#tell(result.failure);
    }
    this.#failures = 0;
    this.#retryAtMs = undefined;
    if (!this.#changed) this.#begun(now);
    const { names } = result.value;
    const isSame = (this.#carrier && pathOf(this.#carrier)) === (carrier && pathOf(carrier));
    this.#carrier = carrier;
    this.#isUnlooked = !looks && (this.#isUnlooked || !isSame);
    this.#againAtMs = carrier && this.#againAt(names !== undefined, looks, now);
    return [...(isSame ? [] : [{ do: "carries", path: carrier } as const]), ...this.#tell(names)];
  }

  /** A way that was taken without a look is looked at when the traffic is back; a trial that goes on looks by itself. */
  #againAt(isNameless: boolean, looks: boolean, now: Instant): number {
    const { everyMs, namesEveryMs, unlookedMs } = applyAgain;
    const atMs = now.monotonicMs + (isNameless ? namesEveryMs : everyMs);
    if (looks) return atMs;
    const soonMs = this.#isUnlooked && this.#state.kind === "up" ? now.monotonicMs + unlookedMs : atMs;
    return Math.min(atMs, this.#againAtMs ?? atMs, soonMs);
  }

  /** A trial's time runs from here, not from the wish: bringing a slow host to the plan may take longer than a trial. */
  #begun(now: Instant): void {
    this.#afresh = undefined;
    if ("trial" in this.#state)
      this.#state = { ...this.#state, trial: begun(this.#state.trial, this.#rttMs, now) };
  }

  /** What stays wrong is said once; numbers in it may change with every try. */
  #tell(problem: Failure | undefined): readonly TunnelEffect[] {
    const shown = problem && `${problem.code} ${JSON.stringify(problem.facts)}`.replaceAll(/\d+/g, "");
    if (shown === this.#problem) return [];
    this.#problem = shown;
    return [{ do: "tell", problem }];
  }

  #next(now: Instant): readonly TunnelEffect[] {
    if (this.#applying !== undefined) return [];
    if (this.#changed) return (this.#retryAtMs ?? 0) <= now.monotonicMs ? [this.#apply()] : [];
    if (this.#againAtMs !== undefined && this.#againAtMs <= now.monotonicMs) {
      this.#isKnown = false;
      return [this.#apply()];
    }
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

  #try(state: Extract<TunnelState, { trial: unknown }>, now: Instant): readonly TunnelEffect[] {
    const { trial, to } = state;
    if (this.#look.effectId !== undefined) return [];
    if (trial.againAtMs !== undefined && now.monotonicMs >= trial.againAtMs) {
      this.#state = { ...state, trial: { attempt: trial.attempt + 1, againAtMs: undefined } };
      this.#afresh = to.wireguardKey;
      // Perhaps it is this host that lets nothing through.
      if (trial.attempt >= look.quickAttempts) this.#isKnown = false;
      return [this.#apply()];
    }
    if (now.monotonicMs < this.#look.atMs) return [];
    const effectId = ++this.#effects;
    this.#look = { ...this.#look, effectId };
    return [{ do: "readHandshake", effectId, publicKey: to.wireguardKey }];
  }

  #apply(): TunnelEffect {
    this.#changed = false;
    this.#look = look0;
    const effectId = ++this.#effects;
    const looks = !this.#isKnown;
    this.#applying = { effectId, carrier: carrierOf(this.#state), looks };
    this.#isKnown = true;
    return { do: "apply", effectId, plan: this.#plan(), afresh: this.#afresh, looks };
  }

  #plan(): TunnelPlan {
    const state = this.#state;
    switch (state.kind) {
      case "down":
        return noTunnel;
      case "opening":
        return tunnelPlan(state.to, undefined, this.#end, this.#outside);
      case "up":
        return tunnelPlan(state.on, undefined, this.#end, this.#outside);
      case "moving":
        return tunnelPlan(state.from, state.to, this.#end, this.#outside);
    }
  }
}

interface Applying {
  readonly effectId: number;
  readonly carrier: Attached | undefined;
  readonly looks: boolean;
}
