import type { Core } from "../core.ts";
import type { Clock } from "../time.ts";

/**
 * Runs a core: gathers the inputs of one event-loop turn, hands them over in order, gives all their effects to
 * `perform` at once, and owns the one timer. That `perform` sees a whole turn is what lets a store commit it as one
 * transaction.
 */
export class Driver<Input, Effect> implements Disposable {
  readonly #core: Core<Input, Effect>;
  readonly #perform: (effects: readonly Effect[]) => void;
  readonly #tick: Input;
  readonly #clock: Clock;
  /** BOUNDED: by what adapters post in one turn. */
  #inputs: Input[] = [];
  #turn: NodeJS.Immediate | undefined;
  #timer: NodeJS.Timeout | undefined;
  #ended = false;

  constructor(options: {
    core: Core<Input, Effect>;
    perform: (effects: readonly Effect[]) => void;
    tick: Input;
    clock: Clock;
  }) {
    this.#core = options.core;
    this.#perform = options.perform;
    this.#tick = options.tick;
    this.#clock = options.clock;
  }

  post(input: Input): void {
    if (this.#ended) return;
    this.#inputs.push(input);
    this.#turn ??= setImmediate(() => this.#run());
  }

  /** Handles what is waiting now instead of at the end of the turn: for shutting down. */
  flush(): void {
    this.#run();
  }

  [Symbol.dispose](): void {
    this.#ended = true;
    clearImmediate(this.#turn);
    clearTimeout(this.#timer);
  }

  #run(): void {
    clearImmediate(this.#turn);
    this.#turn = undefined;
    if (this.#ended) return;
    const inputs = this.#inputs;
    this.#inputs = [];
    const now = this.#clock();
    const effects = inputs.flatMap((input) => this.#core.handle(input, now));
    if (effects.length > 0) this.#perform(effects);
    this.#arm();
  }

  #arm(): void {
    clearTimeout(this.#timer);
    const deadline = this.#core.nextDeadline();
    if (deadline === undefined || this.#ended) return;
    const waitMs = Math.min(Math.max(0, Math.ceil(deadline - this.#clock().monotonicMs)), 2 ** 31 - 1);
    this.#timer = setTimeout(() => this.post(this.#tick), waitMs);
  }
}
