import { type CloseName, failureOfClose } from "./close.ts";
import type { Core } from "./core.ts";
import { type FailureCode, failureEntry, isFailureCode } from "./failures.ts";
import { limits } from "./limits.ts";
import type { LinkEffect, LinkInput, LinkSettings, LinkState } from "./link-states.ts";
import type { ControllerMessage, Welcome } from "./messages.ts";
import type { Instant } from "./time.ts";

export type { LinkEffect, LinkInput, LinkSettings, LinkState } from "./link-states.ts";

export const linkDefaults = {
  dialWithinMs: 10_000,
  backoffMinMs: 250,
  backoffMaxMs: 30_000,
  stableAfterMs: 30_000,
  recheckAfterMs: 15 * 60_000,
} as const;

/**
 * The client's side of the link to the controller: when to dial, how long to wait for what, when to give up and when
 * to come back. Agent and device run the same one. It moves messages; what they mean is its owner's business.
 */
export class Link implements Core<LinkInput, LinkEffect> {
  #state: LinkState = { kind: "idle" };
  #dials = 0;
  #pings = 0;
  /** What `refused` said on this connection, with the time it asked us to wait: more exact than the close code. */
  #refusal: { readonly why: FailureCode; readonly retryAfterMs: number | undefined } | undefined;
  /** What the last welcome said of the way back. */
  #returnWithinMs = 0;
  #isUrgent = false;
  readonly #settings: LinkSettings;

  constructor(settings: LinkSettings) {
    this.#settings = settings;
  }

  get state(): LinkState {
    return this.#state;
  }

  handle(input: LinkInput, now: Instant): readonly LinkEffect[] {
    switch (input.kind) {
      case "start":
        return this.#state.kind === "idle" ? this.#dial(0, now) : [];
      case "retry":
        return this.#retry(now);
      case "stop":
        return this.#stop(input.goodbye);
      case "received":
        return this.#isCurrent(input.dialId) ? this.#received(input.message, now) : [];
      case "unreadable":
        return this.#isCurrent(input.dialId) ? this.#fail(input.why, now, undefined, "malformed") : [];
      case "closed":
        return this.#isCurrent(input.dialId) ? this.#closed(input.why, input.retryAfterMs, now) : [];
      case "send":
        return this.#state.kind === "open"
          ? [{ do: "send", dialId: this.#state.dialId, message: input.message }]
          : [];
      case "urgent":
        this.#urge(input.isOn, now);
        return [];
      case "breach":
        return this.#state.kind === "open" ? this.#fail(input.why, now, undefined, input.close) : [];
      case "tick":
        return this.#tick(now);
    }
  }

  nextDeadline(): number | undefined {
    const state = this.#state;
    switch (state.kind) {
      case "idle":
        return undefined;
      case "dialling":
      case "proving":
        return state.deadlineMs;
      case "waiting":
      case "stopped":
        return state.retryAtMs;
      case "open":
        return Math.min(state.pingAtMs, state.heardAtMs + state.silentMs);
    }
  }

  #isCurrent(dialId: number): boolean {
    const state = this.#state;
    return (
      (state.kind === "dialling" || state.kind === "proving" || state.kind === "open") &&
      state.dialId === dialId
    );
  }

  /** What was refused and is not closed yet is tried again as soon as it is. */
  #retry(now: Instant): LinkEffect[] {
    if (this.#refusal !== undefined) this.#refusal = { ...this.#refusal, retryAfterMs: 0 };
    return this.#state.kind === "stopped" || this.#state.kind === "waiting" ? this.#dial(0, now) : [];
  }

  #urge(isOn: boolean, now: Instant): void {
    this.#isUrgent = isOn;
    const state = this.#state;
    if (!isOn || state.kind !== "waiting") return;
    const atMs = Math.max(now.monotonicMs, state.urgentAtMs);
    this.#state = { ...state, retryAtMs: Math.min(state.retryAtMs, atMs) };
  }

  #dial(attempt: number, now: Instant): LinkEffect[] {
    const dialId = ++this.#dials;
    this.#refusal = undefined;
    this.#state = {
      kind: "dialling",
      dialId,
      attempt,
      deadlineMs: now.monotonicMs + this.#settings.dialWithinMs,
    };
    return [{ do: "dial", dialId }];
  }

  #stop(goodbye: string | undefined): LinkEffect[] {
    const state = this.#state;
    this.#state = { kind: "idle" };
    switch (state.kind) {
      case "idle":
      case "stopped":
      case "waiting":
        return [];
      case "dialling":
      case "proving":
        return [{ do: "hangUp", dialId: state.dialId, close: "done" }];
      case "open": {
        const { dialId } = state;
        const words: LinkEffect[] =
          goodbye === undefined
            ? []
            : [{ do: "send", dialId, message: { type: "goodbye", reason: goodbye } }];
        return [...words, { do: "hangUp", dialId, close: goodbye === undefined ? "restarting" : "done" }];
      }
    }
  }

  #received(message: ControllerMessage, now: Instant): readonly LinkEffect[] {
    const state = this.#state;
    switch (state.kind) {
      case "idle":
      case "waiting":
      case "stopped":
        return [];
      case "dialling":
        if (message.type === "challenge") {
          const deadlineMs = now.monotonicMs + limits.proveWithinMs;
          this.#state = { kind: "proving", dialId: state.dialId, attempt: state.attempt, deadlineMs };
          return [{ do: "prove", dialId: state.dialId, challenge: message }];
        }
        return this.#early(message, now);
      case "proving":
        if (message.type === "welcome") return this.#welcomed(message, state, now);
        if (message.type === "enrolled" || message.type === "joined") return [{ do: "deliver", message }];
        return this.#early(message, now);
      case "open":
        this.#state = { ...state, heardAtMs: now.monotonicMs };
        if (message.type === "pong") return [];
        if (message.type === "refused")
          return this.#remember(message.code, message.text, message.retryAfterMs);
        if (message.type === "state" || message.type === "ack" || message.type === "resync") {
          return [{ do: "deliver", message }];
        }
        return this.#fail("protocol.out-of-order", now, undefined, "malformed");
    }
  }

  /** Before the welcome only a refusal may come out of turn. */
  #early(message: ControllerMessage, now: Instant): readonly LinkEffect[] {
    if (message.type === "refused") return this.#remember(message.code, message.text, message.retryAfterMs);
    return this.#fail("protocol.out-of-order", now, undefined, "malformed");
  }

  #remember(code: string, text: string, retryAfterMs: number | undefined): LinkEffect[] {
    const why: FailureCode = isFailureCode(code) ? code : "link.lost";
    this.#refusal = { why, retryAfterMs };
    return [{ do: "refused", why, text }];
  }

  #welcomed(welcome: Welcome, state: { dialId: number; attempt: number }, now: Instant): LinkEffect[] {
    this.#returnWithinMs = welcome.returnWithinMs ?? 0;
    this.#state = {
      kind: "open",
      dialId: state.dialId,
      attempt: state.attempt,
      since: now,
      heartbeatMs: welcome.heartbeatMs,
      silentMs: welcome.silentMs,
      heardAtMs: now.monotonicMs,
      pingAtMs: now.monotonicMs + welcome.heartbeatMs,
    };
    return [{ do: "up", welcome }];
  }

  #closed(why: number | FailureCode, retryAfterMs: number | undefined, now: Instant): readonly LinkEffect[] {
    const refusal = this.#refusal;
    if (refusal !== undefined) return this.#fail(refusal.why, now, refusal.retryAfterMs);
    return this.#fail(typeof why === "number" ? failureOfClose(why) : why, now, retryAfterMs);
  }

  #tick(now: Instant): readonly LinkEffect[] {
    const state = this.#state;
    switch (state.kind) {
      case "idle":
        return [];
      case "dialling":
      case "proving": {
        if (now.monotonicMs < state.deadlineMs) return [];
        return this.#fail(
          state.kind === "dialling" ? "link.unreachable" : "link.silent",
          now,
          undefined,
          "silent",
        );
      }
      case "waiting":
        return now.monotonicMs < state.retryAtMs ? [] : this.#dial(state.attempt, now);
      case "stopped":
        return now.monotonicMs < (state.retryAtMs ?? Number.POSITIVE_INFINITY) ? [] : this.#dial(0, now);
      case "open": {
        if (now.monotonicMs >= state.heardAtMs + state.silentMs) {
          return this.#fail("link.silent", now, undefined, "silent");
        }
        if (now.monotonicMs < state.pingAtMs) return [];
        this.#state = { ...state, pingAtMs: now.monotonicMs + state.heartbeatMs };
        return [{ do: "send", dialId: state.dialId, message: { type: "ping", id: ++this.#pings } }];
      }
    }
  }

  /** The connection is over: wait, or stop where waiting would change nothing. */
  #fail(
    why: FailureCode,
    now: Instant,
    retryAfterMs: number | undefined,
    close?: CloseName,
  ): readonly LinkEffect[] {
    const state = this.#state;
    if (state.kind === "idle" || state.kind === "waiting" || state.kind === "stopped") return [];
    const effects: LinkEffect[] = close === undefined ? [] : [{ do: "hangUp", dialId: state.dialId, close }];
    if (state.kind === "open") effects.push({ do: "down", why });
    const wasStable =
      state.kind === "open" && now.monotonicMs - state.since.monotonicMs >= this.#settings.stableAfterMs;
    const attempt = wasStable ? 0 : state.attempt;
    const { retry } = failureEntry(why);
    if (retryAfterMs === undefined && retry !== "backoff") {
      const retryAtMs = retry === "onChange" ? now.monotonicMs + this.#settings.recheckAfterMs : undefined;
      this.#state = { kind: "stopped", why, retryAtMs };
    } else {
      const waitMs = retryAfterMs === undefined ? this.#backoffMs(attempt) : this.#spreadMs(retryAfterMs);
      const urgentAtMs = now.monotonicMs + waitMs;
      const retryAtMs = Math.max(urgentAtMs, now.monotonicMs + this.#turnMs());
      this.#state = { kind: "waiting", attempt: attempt + 1, retryAtMs, urgentAtMs, why };
    }
    return effects;
  }

  /** A moment of its own among all who have lost their links, in every wait: what they find may go on being away. */
  #turnMs(): number {
    return this.#isUrgent || this.#returnWithinMs === 0 ? 0 : this.#returnWithinMs * this.#settings.random();
  }

  /** Who was asked to wait is many: all who were turned away with it, in the same moment. */
  #spreadMs(retryAfterMs: number): number {
    return retryAfterMs * (1 + this.#settings.random() / 2);
  }

  #backoffMs(attempt: number): number {
    const { backoffMinMs, backoffMaxMs, random } = this.#settings;
    const wholeMs = Math.min(backoffMaxMs, backoffMinMs * 2 ** Math.min(attempt, 30));
    return wholeMs * (0.5 + random() / 2);
  }
}
