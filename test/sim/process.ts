import type { Core } from "../../protocol/core.ts";
import type { Clock } from "../../protocol/time.ts";
import type { Agenda } from "./agenda.ts";

/** Sees each input before it is handled, and what came of it. */
export interface Watch<Input, Effect> {
  before(input: Input): void;
  after(effects: readonly Effect[]): void;
}

/**
 * A core that runs, as `protocol/node/driver.ts` runs it: the inputs of one turn are handled in order, all their effects
 * are performed at once, and one timer calls when the core asks for it. Until it is killed.
 */
export class Process<Input, Effect> {
  readonly core: Core<Input, Effect>;
  isRunning = true;
  readonly #agenda: Agenda;
  readonly #perform: (effects: readonly Effect[]) => void;
  readonly #tick: Input;
  readonly #clock: Clock;
  readonly #watch: Watch<Input, Effect> | undefined;
  #inputs: Input[] = [];
  #isTurnDue = false;
  #timerAtMs = Number.POSITIVE_INFINITY;
  /** A write that takes long holds the whole process up. */
  #busyUntilMs = 0;

  constructor(options: {
    agenda: Agenda;
    core: Core<Input, Effect>;
    perform: (effects: readonly Effect[]) => void;
    tick: Input;
    clock: Clock;
    watch?: Watch<Input, Effect>;
  }) {
    this.#agenda = options.agenda;
    this.core = options.core;
    this.#perform = options.perform;
    this.#tick = options.tick;
    this.#clock = options.clock;
    this.#watch = options.watch;
  }

  post(input: Input): void {
    if (!this.isRunning) return;
    this.#inputs.push(input);
    if (this.#isTurnDue) return;
    this.#isTurnDue = true;
    this.#agenda.at(Math.max(this.#agenda.nowMs, this.#busyUntilMs), () => this.#turn());
  }

  holdUp(ms: number): void {
    this.#busyUntilMs = Math.max(this.#busyUntilMs, this.#agenda.nowMs + ms);
  }

  kill(): void {
    this.isRunning = false;
    this.#inputs = [];
  }

  /** Handles what waits, also what a stop leaves to be done. */
  flush(): void {
    this.#turn();
  }

  #turn(): void {
    this.#isTurnDue = false;
    if (!this.isRunning) return;
    const inputs = this.#inputs;
    this.#inputs = [];
    const now = this.#clock();
    const effects: Effect[] = [];
    for (const input of inputs) {
      this.#watch?.before(input);
      const ofInput = this.core.handle(input, now);
      this.#watch?.after(ofInput);
      effects.push(...ofInput);
    }
    if (effects.length > 0) this.#perform(effects);
    if (this.isRunning) this.#arm();
  }

  #arm(): void {
    const deadline = this.core.nextDeadline();
    if (deadline === undefined) {
      this.#timerAtMs = Number.POSITIVE_INFINITY;
      return;
    }
    const waitMs = Math.max(0, Math.ceil(deadline - this.#clock().monotonicMs));
    const atMs = Math.max(this.#agenda.nowMs + waitMs, this.#busyUntilMs);
    if (atMs === this.#timerAtMs) return;
    this.#timerAtMs = atMs;
    this.#agenda.at(atMs, () => {
      if (!this.isRunning || this.#timerAtMs !== atMs) return;
      this.#timerAtMs = Number.POSITIVE_INFINITY;
      this.post(this.#tick);
    });
  }
}
