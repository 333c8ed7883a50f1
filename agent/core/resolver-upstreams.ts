const missesMax = 2;
const answersMin = 3;

/**
 * Which of a connector's DNS servers do not answer. One is silent after two probes in a row without an answer, and
 * asked first again after three in a row with one: each change empties the resolver's cache.
 */
export class UpstreamHealth {
  /** BOUNDED: one per server of the connector, four at most. Counts answers in a row, or as negative numbers misses. */
  readonly #runs = new Map<string, number>();
  readonly #silent = new Set<string>();

  /** What a probe of each server came to; servers that are not in it are forgotten. True when `silent` changed. */
  probed(results: ReadonlyMap<string, boolean>): boolean {
    const before = [...this.#silent].join();
    for (const server of this.#runs.keys()) {
      if (!results.has(server)) this.#forget(server);
    }
    for (const [server, answered] of results) {
      const run = this.#runs.get(server) ?? 0;
      const next = answered ? Math.max(run, 0) + 1 : Math.min(run, 0) - 1;
      this.#runs.set(server, next);
      if (next <= -missesMax) this.#silent.add(server);
      if (next >= answersMin) this.#silent.delete(server);
    }
    return [...this.#silent].join() !== before;
  }

  get silent(): ReadonlySet<string> {
    return new Set(this.#silent);
  }

  #forget(server: string): void {
    this.#runs.delete(server);
    this.#silent.delete(server);
  }
}
