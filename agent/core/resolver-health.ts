/** What came of asking a DNS server. `refusal`: it answered that it cannot or will not tell. */
export type Heard = "answer" | "refusal" | "silence" | "no such address here";

const everyMs = 2_000;
const everyMsMax = 60_000;
const missesMax = 2;

/**
 * Whether the resolver that runs also answers. After two questions in a row without an answer it should be started anew;
 * one that does not answer after that has longer and longer to do so: where something else is in the way, a new
 * process every few seconds takes from devices what still works. An address that is on no interface is nothing that
 * another process could do better: dnsmasq listens there as soon as it comes.
 */
export class ResolverHealth {
  #askAtMs = 0;
  #misses = 0;
  /** How often it was started anew since it last answered. */
  #renewals = 0;
  #problem: string | undefined;

  /** A process was started, or taken over. */
  began(nowMs: number): void {
    this.#misses = 0;
    this.#askAtMs = nowMs + Math.min(everyMsMax, everyMs * 2 ** Math.min(this.#renewals, 16));
  }

  isDue(nowMs: number): boolean {
    return nowMs >= this.#askAtMs;
  }

  /** True when it should be started anew. */
  heard(heard: Heard, nowMs: number): boolean {
    this.#askAtMs = nowMs + everyMs;
    switch (heard) {
      case "answer":
      case "refusal":
        this.#misses = this.#renewals = 0;
        this.#problem = undefined;
        return false;
      case "no such address here":
        this.#misses = 0;
        this.#problem = "its address is on no interface";
        return false;
      case "silence":
        this.#misses++;
        if (this.#misses < missesMax) return false;
        this.#problem = "it runs and does not answer";
        this.#misses = 0;
        this.#renewals++;
        return true;
    }
  }

  /** Why devices get no answer though it runs; stands until it answers. */
  get problem(): string | undefined {
    return this.#problem;
  }
}
