import type { Core } from "../core.ts";
import type { Clock } from "../time.ts";

/**
 * Runs a core: gathers the inputs of one event-loop turn, hands them over in order, gives all their effects to
 * `perform` at once, and owns the one timer. That `perform` sees a whole turn is what lets a store commit it as one
 * transaction. A deadline is judged after what came in its turn: when this process was not let run for a while, the timer is
 * due before any socket is read, and nobody is silent whose word lies there.
 */
export class Driver<Input, Effect> implements Disposable {
  readonly #core: Core<Input, Effect>;
  readonly #perform: (effects: readonly Effect[]) => void;
  readonly #tick: Input;
  readonly #clock: Clock;
  /** BOUNDED: by what adapters post in one turn. */
  #inputs: Input[] = [];
  #isDue = false;
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
    this.#runSoon();
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

  #runSoon(): void {
    this.#turn ??= setImmediate(() => this.#run());
  }

  #run(): void {
    clearImmediate(this.#turn);
    this.#turn = undefined;
    if (this.#ended) return;
    const inputs = this.#isDue ? [...this.#inputs, this.#tick] : this.#inputs;
    this.#inputs = [];
    this.#isDue = false;
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
    this.#timer = setTimeout(() => {
      this.#isDue = true;
      this.#runSoon();
    }, waitMs);
  }
}
