import type { FailureFacts, Result } from "../../protocol/failures.ts";
import type { Instant } from "../../protocol/time.ts";
import type { Problem } from "./conditions.ts";
import type { SessionTraffic } from "./ports.ts";
import { Recurring } from "./recurring.ts";

/** A reading of 1,400 devices costs 7 ms of processor time in a row with others, 28 ms after a rest. */
const pace = { everyMs: 2_000, perEntryMs: 8, restMsMax: 30_000 } as const;

/** WireGuard's REJECT_AFTER_TIME: a device that was not heard for so long has no key to be heard with. */
const activeForMs = 180_000;

/** For how long no lease ends after a reading that failed: until several more have been tried. */
const sparedForMs = 60_000;

export type TrafficEffect = { readonly do: "readTraffic"; readonly effectId: number };

/** What it means for leases: who was heard when, or that nobody can say. */
export type Heard =
  | {
      readonly is: "known";
      readonly sessions: Iterable<readonly [session: string, atMonotonicMs: number]>;
      /** When the reading began, monotonic ms. */
      readonly throughMs: number;
    }
  | { readonly is: "unknown"; readonly spareUntilMs: number };

/** What the devices have sent and received, as read from the data path every few seconds. */
export class Traffic {
  readonly #readings = new Recurring(pace);
  #effectId = 0;
  #begunAtMs = 0;
  /** BOUNDED: one per session of the last reading. */
  #sessions: ReadonlyMap<string, SessionTraffic> = new Map();
  #active = 0;
  /** At least one of them was, since its peer was set. */
  #isHeard = false;
  #failure: FailureFacts | undefined;

  next(now: Instant): TrafficEffect[] {
    if (!this.#readings.begin(now)) return [];
    this.#begunAtMs = now.monotonicMs;
    return [{ do: "readTraffic", effectId: ++this.#effectId }];
  }

  /** Undefined for a reading that nobody waits for. */
  read(
    effectId: number,
    result: Result<ReadonlyMap<string, SessionTraffic>>,
    now: Instant,
  ): Heard | undefined {
    if (effectId !== this.#effectId || this.#readings.dueAtMs !== undefined) return undefined;
    this.#readings.end(result.ok ? result.value.size : this.#sessions.size, now);
    if (!result.ok) {
      this.#failure = result.failure.facts;
      return this.unknown(now);
    }
    this.#failure = undefined;
    this.#sessions = result.value;
    const heard = [...result.value].flatMap(([session, { heardAtMs }]) =>
      heardAtMs === undefined ? [] : [[session, heardAtMs] as const],
    );
    this.#isHeard = heard.length > 0;
    this.#active = heard.filter(([, atMs]) => atMs >= now.monotonicMs - activeForMs).length;
    return { is: "known", sessions: heard, throughMs: this.#begunAtMs };
  }

  /** Before the first reading, too. */
  unknown(now: Instant): Heard {
    return { is: "unknown", spareUntilMs: now.monotonicMs + sparedForMs };
  }

  /** How many devices were heard in the last 180 s, by the last reading. */
  get activeAgents(): number {
    return this.#active;
  }

  of(session: string): SessionTraffic | undefined {
    return this.#sessions.get(session);
  }

  problems(): Problem[] {
    const sessions = this.#sessions.size;
    return [
      ...(this.#failure === undefined
        ? []
        : [{ code: "datapath.unreadable", facts: this.#failure } as const]),
      ...(sessions === 0 || this.#isHeard
        ? []
        : [{ code: "datapath.unheard", facts: { sessions } } as const]),
    ];
  }

  nextDeadline(): number | undefined {
    return this.#readings.dueAtMs;
  }
}
