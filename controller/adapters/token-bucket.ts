export interface Rate {
  readonly perSecond: number;
  /** What may come at once after a pause. */
  readonly burst: number;
}

/** A bucket that fills steadily and holds a burst; full at first. */
export class TokenBucket {
  readonly #rate: Rate;
  #tokens: number;
  #atMs: number;

  constructor(rate: Rate, nowMs: number) {
    this.#rate = rate;
    this.#tokens = rate.burst;
    this.#atMs = nowMs;
  }

  /** Takes a token where there is one. Answers how long until there is, ms; 0: taken. */
  take(nowMs: number): number {
    this.#fill(nowMs);
    if (this.#tokens < 1) return this.#msFor(1 - this.#tokens);
    this.#tokens -= 1;
    return 0;
  }

  /** Takes a token, as a debt where there is none. Answers how long until the debt is paid, ms; 0: there is none. */
  owe(nowMs: number): number {
    this.#fill(nowMs);
    this.#tokens -= 1;
    return this.#tokens >= 0 ? 0 : this.#msFor(-this.#tokens);
  }

  #fill(nowMs: number): void {
    const { perSecond, burst } = this.#rate;
    this.#tokens = Math.min(burst, this.#tokens + ((nowMs - this.#atMs) / 1000) * perSecond);
    this.#atMs = nowMs;
  }

  #msFor(tokens: number): number {
    return (tokens / this.#rate.perSecond) * 1000;
  }
}
