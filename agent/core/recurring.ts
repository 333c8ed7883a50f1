import type { Instant } from "../../protocol/time.ts";

/** A share of one processor that repeated work may take: after work of 50 ms there is a rest of 25 s. */
const restPerWork = 500;
/** However long it took: on a busy machine that is no measure of what it costs. */
const restMsMax = 60_000;

/** Work that is repeated for ever, one at a time: every so often, and less often where it takes long. */
export class Recurring {
  readonly #everyMs: number;
  #state:
    | { readonly is: "resting"; readonly untilMs: number }
    | { readonly is: "working"; readonly sinceMs: number } = { is: "resting", untilMs: 0 };

  constructor(everyMs: number) {
    this.#everyMs = everyMs;
  }

  /** Whether it begins now. */
  begin(now: Instant): boolean {
    if (this.#state.is === "working" || now.monotonicMs < this.#state.untilMs) return false;
    this.#state = { is: "working", sinceMs: now.monotonicMs };
    return true;
  }

  end(now: Instant): void {
    if (this.#state.is === "resting") return;
    const tookMs = now.monotonicMs - this.#state.sinceMs;
    const restMs = Math.max(this.#everyMs, Math.min(restMsMax, restPerWork * tookMs));
    this.#state = { is: "resting", untilMs: now.monotonicMs + restMs };
  }

  /** As soon as it rests, it is due. */
  demand(): void {
    if (this.#state.is === "resting") this.#state = { is: "resting", untilMs: 0 };
  }

  /** When it is due; undefined while it is being done. */
  get dueAtMs(): number | undefined {
    return this.#state.is === "working" ? undefined : this.#state.untilMs;
  }
}
