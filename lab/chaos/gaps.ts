/** The longest time for which a device's requests brought no answer, out of the times of its answers. Pure. */
export interface Gap {
  readonly ms: number;
  /** When the last answer before it came. */
  readonly fromMs: number;
}

export class Gaps {
  #lastMs: number | undefined;
  #longest: Gap = { ms: 0, fromMs: 0 };

  /** Begins anew: what is shorter than the gap in which this falls, if it is one, is forgotten. */
  restart(): void {
    this.#longest = { ms: 0, fromMs: this.#lastMs ?? 0 };
  }

  /** When answers came, in order; times before the last one's change nothing. */
  answered(atMs: readonly number[]): void {
    for (const ms of atMs) {
      this.#longest = longer(this.#longest, this.#since(ms));
      this.#lastMs = Math.max(ms, this.#lastMs ?? ms);
    }
  }

  /** The longest so far, also the one that still lasts. */
  longest(nowMs: number): Gap {
    return longer(this.#longest, this.#since(nowMs));
  }

  /** How long ago the last answer came; for ever when there was none. */
  silentMs(nowMs: number): number {
    return this.#lastMs === undefined ? Number.POSITIVE_INFINITY : nowMs - this.#lastMs;
  }

  #since(nowMs: number): Gap {
    const fromMs = this.#lastMs ?? nowMs;
    return { ms: nowMs - fromMs, fromMs };
  }
}

function longer(a: Gap, b: Gap): Gap {
  return b.ms > a.ms ? b : a;
}

/** The middle one; of an even number the mean of the two in the middle; undefined of none. */
export function median(values: readonly number[]): number | undefined {
  const sorted = values.toSorted((a, b) => a - b);
  const upper = sorted[Math.floor(sorted.length / 2)];
  const lower = sorted[Math.ceil(sorted.length / 2) - 1];
  return upper === undefined || lower === undefined ? undefined : (lower + upper) / 2;
}
