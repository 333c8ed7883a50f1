import type { Core } from "../../protocol/core.ts";
import type { Instant } from "../../protocol/time.ts";

export interface ProbeSettings {
  /** How often it is looked whether something came back. */
  readonly everyMs: number;
  /** Nothing has come back for so long: the path is dead. */
  readonly deadAfterMs: number;
  /** Echoes that must have gone unanswered by then: who has not asked knows nothing. */
  readonly unansweredMin: number;
}

export const probeDefaults: ProbeSettings = { everyMs: 1_000, deadAfterMs: 2_500, unansweredMin: 2 };

export type Verdict = "alive" | "dead";

/** `unsent`: this host could not ask, or not wait for an answer; that says nothing about the path. */
export type Echo = "answered" | "silent" | "unsent";

export type ProbeInput =
  /** Another path from now on, or none. */
  | { readonly kind: "watch"; readonly path: string | undefined }
  /** All that the path's peer has sent so far; undefined when it could not be read. */
  | { readonly kind: "received"; readonly effectId: number; readonly rxBytes: number | undefined }
  | { readonly kind: "echoed"; readonly effectId: number; readonly echo: Echo }
  | { readonly kind: "tick" };

export type ProbeEffect =
  /** Answer with `received`. */
  | { readonly do: "readReceived"; readonly effectId: number }
  /** Answer with `echoed`, within `everyMs`. */
  | { readonly do: "echo"; readonly effectId: number }
  | { readonly do: "tell"; readonly path: string; readonly verdict: Verdict };

type ProbeState =
  | { readonly kind: "idle" }
  | {
      readonly kind: "watching";
      readonly path: string;
      /** Results of effects of before belong to another path. */
      readonly sinceEffectId: number;
      /** What had come when it was last looked, or when an echo was last answered. */
      readonly rxBytes: number | undefined;
      /** The reading that only counts what the answered echo has added: it is no further sign of life. */
      readonly recount: number | undefined;
      /** When something last came back; at first, when the watch began. */
      readonly heardAtMs: number;
      readonly unanswered: number;
      readonly lookAtMs: number;
      readonly verdict: Verdict | undefined;
    };

type Watching = Extract<ProbeState, { kind: "watching" }>;

/**
 * Whether the tunnel works, as its user would find out: traffic that comes back is proof enough, and where none does,
 * the instance's end is asked for an echo each second. WireGuard's own timers need fifteen seconds and more.
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
      case "received":
        if (input.effectId <= state.sinceEffectId) return [];
        return this.#received(state, input, now);
      case "echoed":
        if (input.effectId <= state.sinceEffectId) return [];
        return this.#echoed(state, input.echo, now);
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
        rxBytes: undefined,
        recount: undefined,
        heardAtMs: now.monotonicMs,
        unanswered: 0,
        lookAtMs: now.monotonicMs,
        verdict: undefined,
      },
      now,
    );
  }

  #look(state: Watching, now: Instant): readonly ProbeEffect[] {
    const { everyMs } = this.#settings;
    // So late only after sleep, or when this process was held up: what was not asked for could not be heard.
    const wasAway = now.monotonicMs - state.lookAtMs > everyMs;
    const heard = wasAway ? { heardAtMs: now.monotonicMs, unanswered: 0 } : {};
    this.#state = { ...state, ...heard, lookAtMs: now.monotonicMs + everyMs };
    return [{ do: "readReceived", effectId: ++this.#effects }];
  }

  #received(
    state: Watching,
    { effectId, rxBytes }: Extract<ProbeInput, { kind: "received" }>,
    now: Instant,
  ): readonly ProbeEffect[] {
    const before = state.rxBytes;
    const known = { ...state, rxBytes: rxBytes ?? before };
    this.#state = known;
    if (effectId === state.recount) return [];
    if (before !== undefined && rxBytes !== undefined && rxBytes > before) return this.#heard(known, now);
    return [{ do: "echo", effectId: ++this.#effects }];
  }

  #echoed(state: Watching, echo: Echo, now: Instant): readonly ProbeEffect[] {
    switch (echo) {
      case "answered":
        return this.#answered(state, now);
      case "silent":
        return this.#unanswered(state, now);
      case "unsent":
        return [];
    }
  }

  #answered(state: Watching, now: Instant): readonly ProbeEffect[] {
    const recount = ++this.#effects;
    return [...this.#heard({ ...state, recount }, now), { do: "readReceived", effectId: recount }];
  }

  #heard(state: Watching, now: Instant): readonly ProbeEffect[] {
    this.#state = { ...state, heardAtMs: now.monotonicMs, unanswered: 0, verdict: "alive" };
    return state.verdict === "alive" ? [] : [{ do: "tell", path: state.path, verdict: "alive" }];
  }

  #unanswered(state: Watching, now: Instant): readonly ProbeEffect[] {
    const { deadAfterMs, unansweredMin } = this.#settings;
    const unanswered = state.unanswered + 1;
    const isDead = unanswered >= unansweredMin && now.monotonicMs - state.heardAtMs >= deadAfterMs;
    this.#state = { ...state, unanswered, verdict: isDead ? "dead" : state.verdict };
    return isDead && state.verdict !== "dead" ? [{ do: "tell", path: state.path, verdict: "dead" }] : [];
  }
}
