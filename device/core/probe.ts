import type { Core } from "../../protocol/core.ts";
import type { Instant } from "../../protocol/time.ts";
import { type ProbeSettings, probeDefaults } from "./probe-settings.ts";
import type { Counters, ProbeState, Verdict, Watching } from "./probe-state.ts";
import { type Echo, enough, inVain, isFar, type Question, questionFor } from "./question.ts";

export type { Counters, Verdict } from "./probe-state.ts";

export type ProbeInput =
  /** Another path from now on, or none. */
  | { readonly kind: "watch"; readonly path: string | undefined }
  /** Undefined when they could not be read. */
  | { readonly kind: "counted"; readonly effectId: number; readonly counters: Counters | undefined }
  | { readonly kind: "echoed"; readonly effectId: number; readonly echo: Echo }
  | { readonly kind: "tick" };

export type ProbeEffect =
  /** Answer with `counted`. */
  | { readonly do: "count"; readonly effectId: number }
  /** Ask the instance's end; answer with `echoed`. */
  | { readonly do: "ask"; readonly effectId: number; readonly question: Question }
  /** `rttMs`: of the last answer there was. */
  | {
      readonly do: "tell";
      readonly path: string;
      readonly verdict: Verdict;
      readonly rttMs: number | undefined;
    };

/** More than three questions in a row no path that works leaves unanswered: with every third packet lost, one in a million. */
const doubtsMax = 2;
/** A silence of that length was an outage, and says nothing about what the path loses while it works. */
const outageMs = 8_000;
/**
 * A peer of WireGuard answers what it was sent within 10 s, if only by a keepalive; one that does not is asked for a
 * handshake after 15 s, and again each 5 s.
 */
const unaskedDeadAfterMs = 30_000;
/** Between two questions of one doubt: a question that comes back at once must not be repeated at once. */
const againAfterMs = 100;
/** Timers are not exact. */
const nearly = 0.9;
/** So late only after sleep, or when this process was held up: what was not asked for could not be heard. */
const lateMs = 1_000;

/**
 * Whether the tunnel works, as its user would find out: traffic that comes back is proof enough. Where something was sent
 * and nothing came back, the instance's end is asked at once; a path without traffic every two seconds. WireGuard's own
 * timers need fifteen seconds and more.
 *
 * The last word has the counter, not the question: an answer that was late, or that a busy host did not get to, counts.
 */
export class Probe implements Core<ProbeInput, ProbeEffect> {
  readonly #settings: ProbeSettings;
  #state: ProbeState = { kind: "idle" };
  #effects = 0;

  constructor(settings: ProbeSettings = probeDefaults) {
    this.#settings = settings;
  }

  handle(input: ProbeInput, now: Instant): readonly ProbeEffect[] {
    if (input.kind === "watch") return this.#watch(input.path, now);
    const state = this.#state;
    if (state.kind === "idle") return [];
    switch (input.kind) {
      case "counted":
        if (input.effectId <= state.sinceEffectId) return [];
        return this.#counted(state, input.effectId, input.counters, now);
      case "echoed":
        return this.#echoed(state, input.effectId, input.echo, now);
      case "tick":
        return now.monotonicMs < state.lookAtMs ? [] : this.#look(state, now);
    }
  }

  nextDeadline(): number | undefined {
    return this.#state.kind === "idle" ? undefined : this.#state.lookAtMs;
  }

  get verdict(): Verdict | undefined {
    return this.#state.kind === "idle" ? undefined : this.#state.verdict;
  }

  #watch(path: string | undefined, now: Instant): readonly ProbeEffect[] {
    if (path === undefined) {
      this.#state = { kind: "idle" };
      return [];
    }
    if (this.#state.kind === "watching" && this.#state.path === path) return [];
    return this.#look(
      {
        kind: "watching",
        path,
        sinceEffectId: this.#effects,
        counters: undefined,
        recount: undefined,
        asking: undefined,
        answered: undefined,
        confirming: undefined,
        heardAtMs: now.monotonicMs,
        sentAtMs: undefined,
        inVain: 0,
        doubts: { count: 0, lastAtMs: now.monotonicMs },
        lookAtMs: now.monotonicMs,
        verdict: undefined,
      },
      now,
    );
  }

  #look(state: Watching, now: Instant): readonly ProbeEffect[] {
    const wasAway = now.monotonicMs - state.lookAtMs > lateMs;
    const afresh = {
      heardAtMs: now.monotonicMs,
      sentAtMs: undefined,
      inVain: 0,
      asking: undefined,
      confirming: undefined,
      sinceEffectId: this.#effects,
    };
    const lookAtMs = now.monotonicMs + this.#settings.quietEveryMs;
    this.#state = { ...state, ...(wasAway ? afresh : {}), lookAtMs };
    return [this.#count()];
  }

  #count(): Extract<ProbeEffect, { do: "count" }> {
    return { do: "count", effectId: ++this.#effects };
  }

  #counted(
    state: Watching,
    effectId: number,
    counters: Counters | undefined,
    now: Instant,
  ): readonly ProbeEffect[] {
    const before = state.counters;
    const known = { ...state, counters: counters ?? before };
    this.#state = known;
    if (effectId === state.recount) return [];
    const hasCome = before !== undefined && counters !== undefined && counters.rxBytes > before.rxBytes;
    const hasGone = before !== undefined && counters !== undefined && counters.txBytes > before.txBytes;
    const isBusy = hasCome || (hasGone && state.asking === undefined);
    const sentAtMs = state.sentAtMs ?? (hasGone ? now.monotonicMs : undefined);
    const paced = { ...known, sentAtMs, ...(isBusy ? { lookAtMs: this.#soon(state, now) } : {}) };
    this.#state = paced;
    if (hasCome) {
      const heard = this.#heard(paced, 0, now);
      return this.#isUnsure(state, now) ? [...heard, ...this.#ask(this.#state, false, now)] : heard;
    }
    const { confirming } = state;
    if (confirming !== undefined && effectId >= confirming.effectId) {
      return this.#silent(paced, (counters?.txBytes ?? 0) - confirming.txBytes, now);
    }
    return this.#shouldAsk(paced, hasGone, now) ? this.#ask(paced, hasGone, now) : [];
  }

  #soon(state: Watching, now: Instant): number {
    return Math.min(state.lookAtMs, now.monotonicMs + this.#settings.busyEveryMs);
  }

  /** What was sent within the last look's time may not have been answered yet; traffic that goes one way is asked for each second. */
  #shouldAsk(state: Watching, hasGone: boolean, now: Instant): boolean {
    const { askAfterMs, busyEveryMs, quietEveryMs } = this.#settings;
    if (state.asking !== undefined) return false;
    if (state.verdict !== "alive" || state.inVain > 0) return true;
    const quietMs = now.monotonicMs - state.heardAtMs;
    const sinceAnswerMs = now.monotonicMs - (state.answered?.atMs ?? Number.NEGATIVE_INFINITY);
    const hasWaited = quietMs >= busyEveryMs * nearly && sinceAnswerMs >= quietEveryMs * nearly;
    return quietMs >= askAfterMs || (hasGone && hasWaited);
  }

  /** The first answer may have waited for a handshake: a slow one is asked for once more. */
  #isUnsure({ asking, answered }: Watching, now: Instant): boolean {
    if (asking !== undefined || !answered?.isFirst || !isFar(answered.rttMs)) return false;
    return now.monotonicMs - answered.atMs >= this.#settings.askAfterMs;
  }

  #ask(state: ProbeState, hasGone: boolean, now: Instant): readonly ProbeEffect[] {
    if (state.kind === "idle") return [];
    const effectId = ++this.#effects;
    const isAwaited = state.verdict === "alive" && (hasGone || state.inVain > 0);
    const asked = { rttMs: state.answered?.rttMs, doubts: this.#doubts(state, now) };
    const question = questionFor(asked, isAwaited);
    const txBytes = state.counters?.txBytes ?? 0;
    this.#state = { ...state, asking: { effectId, atMs: now.monotonicMs, question, txBytes } };
    return [{ do: "ask", effectId, question }];
  }

  #echoed(before: Watching, effectId: number, echo: Echo, now: Instant): readonly ProbeEffect[] {
    const { asking } = before;
    if (asking?.effectId !== effectId) return [];
    const state = { ...before, asking: undefined };
    this.#state = state;
    switch (echo.is) {
      case "answered": {
        const recount = this.#count();
        const isFirst = state.answered === undefined;
        const answered = { atMs: now.monotonicMs, rttMs: echo.rttMs, isFirst };
        return [...this.#heard({ ...state, recount: recount.effectId, answered }, echo.lost, now), recount];
      }
      case "silent": {
        // Traffic came back meanwhile: the echoes alone were lost.
        if (state.heardAtMs > asking.atMs) return [];
        const look = this.#count();
        const { question, txBytes } = asking;
        const confirming = { effectId: look.effectId, txBytes };
        this.#state = { ...state, inVain: state.inVain + inVain[question], confirming };
        return [look];
      }
      case "unsent":
        return this.#unasked(state, now);
    }
  }

  /** A host that cannot ask finds out as late as WireGuard does, and only where somebody sends. */
  #unasked(state: Watching, now: Instant): readonly ProbeEffect[] {
    const silentMs = now.monotonicMs - (state.sentAtMs ?? now.monotonicMs);
    if (state.verdict === "dead" || silentMs < unaskedDeadAfterMs) return [];
    this.#state = { ...state, verdict: "dead" };
    return [told(state, "dead")];
  }

  /** `lost` echoes, or a question that went unanswered, and yet it works. */
  #heard(state: Watching, lost: number, now: Instant): readonly ProbeEffect[] {
    const wasLost = state.inVain > 0 && now.monotonicMs - state.heardAtMs < outageMs;
    const wasDoubted = state.verdict === "alive" ? lost > 0 || wasLost : state.verdict === "dead" && wasLost;
    const doubts = wasDoubted
      ? { count: Math.min(doubtsMax, this.#doubts(state, now) + 1), lastAtMs: now.monotonicMs }
      : state.doubts;
    this.#state = {
      ...state,
      doubts,
      heardAtMs: now.monotonicMs,
      sentAtMs: undefined,
      inVain: 0,
      confirming: undefined,
      verdict: "alive",
    };
    return state.verdict === "alive" ? [] : [told(state, "alive")];
  }

  /** Asked in vain, and the counter says the same; so many bytes were sent since it was asked. */
  #silent(state: Watching, sentBytes: number, now: Instant): readonly ProbeEffect[] {
    const { deadAfterMs, sentOnDeadAfterMs, firstDeadAfterMs } = this.#settings;
    const needed = enough({ doubts: this.#doubts(state, now) }, sentBytes);
    const usualMs = needed.isSentOn ? sentOnDeadAfterMs : deadAfterMs;
    const afterMs = state.verdict === undefined ? firstDeadAfterMs : usualMs;
    const isDead = state.inVain >= needed.inVain && now.monotonicMs - state.heardAtMs >= afterMs;
    if (!isDead) {
      this.#state = { ...state, confirming: undefined, lookAtMs: now.monotonicMs + againAfterMs };
      return [];
    }
    this.#state = { ...state, confirming: undefined, verdict: "dead" };
    return state.verdict === "dead" ? [] : [told(state, "dead")];
  }

  #doubts({ doubts }: Watching, now: Instant): number {
    return now.monotonicMs - doubts.lastAtMs >= this.#settings.calmAfterMs ? 0 : doubts.count;
  }
}

function told({ path, answered }: Watching, verdict: Verdict): ProbeEffect {
  return { do: "tell", path, verdict, rttMs: answered?.rttMs };
}
