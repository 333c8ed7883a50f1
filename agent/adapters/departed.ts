import type { Failure, Result } from "../../protocol/failures.ts";
import type { Logger } from "../../protocol/node/log.ts";

const retryAfterMs = 10_000;

/**
 * Addresses whose connections the kernel is still to forget. Done beside everything else: with many connections it takes
 * seconds, and nothing passes meanwhile, because the peers are gone. What fails is tried again until it has worked.
 */
export class Departed implements Disposable {
  readonly #forget: (addresses: readonly string[]) => Promise<Result<void>>;
  readonly #log: Logger;
  /** BOUNDED: by the addresses of the pools. */
  #addresses = new Set<string>();
  #isBusy = false;
  #isEnded = false;
  #retry: NodeJS.Timeout | undefined;
  #problem: Failure | undefined;

  constructor(forget: (addresses: readonly string[]) => Promise<Result<void>>, log: Logger) {
    this.#forget = forget;
    this.#log = log;
  }

  add(addresses: readonly string[]): void {
    for (const address of addresses) this.#addresses.add(address);
    void this.#work();
  }

  /** Why the last try failed, while there is something left to forget. */
  get problem(): Failure | undefined {
    return this.#problem;
  }

  [Symbol.dispose](): void {
    this.#isEnded = true;
    clearTimeout(this.#retry);
    this.#addresses.clear();
  }

  async #work(): Promise<void> {
    if (this.#isBusy || this.#addresses.size === 0) return;
    this.#isBusy = true;
    clearTimeout(this.#retry);
    const addresses = this.#addresses;
    this.#addresses = new Set();
    const forgotten = await this.#forget([...addresses]);
    this.#isBusy = false;
    // By now they may be somebody else's, whose connections these would be.
    if (this.#isEnded) return;
    if (forgotten.ok) {
      this.#problem = undefined;
      await this.#work();
      return;
    }
    if (this.#problem === undefined) {
      this.#log.warn({ ...forgotten.failure.facts, count: addresses.size }, "connections could not be ended");
    }
    this.#problem = forgotten.failure;
    for (const address of addresses) this.#addresses.add(address);
    this.#retry = setTimeout(() => void this.#work(), retryAfterMs).unref();
  }
}
