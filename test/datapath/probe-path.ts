import { Probe, type ProbeEffect, type ProbeInput } from "../../device/core/probe.ts";
import type { Question } from "../../device/core/question.ts";
import { Random } from "../sim/random.ts";

/** What the path and the host are like, from now on. */
export interface PathLike {
  /** Chance that a packet and its answer do not both arrive. */
  lossRatio: number;
  rttMs: number;
  /** At random, up to so much more. */
  jitterMs: number;
  isDead: boolean;
  /** The user sends something so often; undefined: nothing. */
  trafficEveryMs: number | undefined;
  /** It is answered, as far as the path lets it. */
  isAnswered: boolean;
  /** ping cannot send. */
  isUnable: boolean;
  /** Every echo's answer is filtered on its way. */
  isMute: boolean;
  /** How late the host gets to anything: reading counters, seeing answers, its own timers. */
  lateMs: () => number;
}

/** A probe over a path that the test describes, with time as fast as it goes. */
export class ProbedPath {
  readonly like: PathLike = {
    lossRatio: 0,
    rttMs: 20,
    jitterMs: 0,
    isDead: false,
    trafficEveryMs: undefined,
    isAnswered: true,
    isUnable: false,
    isMute: false,
    lateMs: () => 0,
  };
  readonly told: { readonly atMs: number; readonly verdict: string }[] = [];
  nowMs = 0;
  questions = 0;
  readings = 0;
  readonly #probe = new Probe();
  readonly #random: Random;
  #counters = { rxBytes: 0, txBytes: 0 };
  #due: { readonly atMs: number; readonly run: () => void }[] = [];
  #trafficAtMs = 0;

  constructor(seed = 1) {
    this.#random = new Random(seed);
    this.post({ kind: "watch", path: "s/1" });
  }

  get verdicts(): string[] {
    return this.told.map(({ verdict }) => verdict);
  }

  post(input: ProbeInput): void {
    for (const effect of this.#probe.handle(input, { monotonicMs: this.nowMs, wallMs: this.nowMs })) {
      this.#perform(effect);
    }
  }

  run(ms: number): this {
    const endMs = this.nowMs + ms;
    for (;;) {
      const tickAtMs = (this.#probe.nextDeadline() ?? Number.POSITIVE_INFINITY) + this.like.lateMs();
      const { trafficEveryMs } = this.like;
      const trafficAtMs = trafficEveryMs === undefined ? Number.POSITIVE_INFINITY : this.#trafficAtMs;
      const dueAtMs = Math.min(...this.#due.map(({ atMs }) => atMs));
      const nextMs = Math.min(tickAtMs, trafficAtMs, dueAtMs);
      if (nextMs > endMs) break;
      this.nowMs = Math.max(this.nowMs, nextMs);
      if (nextMs === dueAtMs) {
        const next = this.#due.findIndex(({ atMs }) => atMs === dueAtMs);
        this.#due.splice(next, 1)[0]?.run();
      } else if (nextMs === trafficAtMs) this.#traffic(trafficEveryMs ?? 0);
      else this.post({ kind: "tick" });
    }
    this.nowMs = endMs;
    if (this.#trafficAtMs < endMs) this.#trafficAtMs = endMs;
    return this;
  }

  #perform(effect: ProbeEffect): void {
    switch (effect.do) {
      case "count": {
        this.readings += 1;
        const { effectId } = effect;
        const counters = { ...this.#counters };
        this.#at(this.nowMs + this.like.lateMs(), () => this.post({ kind: "counted", effectId, counters }));
        return;
      }
      case "ask":
        this.questions += 1;
        this.#ask(effect.effectId, effect.question);
        return;
      case "tell":
        this.told.push({ atMs: this.nowMs, verdict: effect.verdict });
    }
  }

  /** As ping does it: an echo each 200 ms; for a second, until the first answer, or three of them. */
  #ask(effectId: number, question: Question): void {
    if (this.like.isUnable) {
      this.post({ kind: "echoed", effectId, echo: { is: "unsent" } });
      return;
    }
    const begunMs = this.nowMs + this.like.lateMs();
    let isOver = false;
    const end = (input: ProbeInput) => {
      if (isOver) return;
      isOver = true;
      this.post(input);
    };
    const { echoes, forMs } = questions[question];
    let answered = 0;
    let firstRttMs = 0;
    const answer = (sent: number) => {
      answered += 1;
      firstRttMs ||= this.like.rttMs;
      // ping ends when the last of a short question is answered, and with the first of a long one.
      const isEnd = question === "long" || answered === echoes;
      const lost = question === "long" ? sent : 0;
      if (isEnd) end({ kind: "echoed", effectId, echo: { is: "answered", lost, rttMs: firstRttMs } });
    };
    for (let sent = 0; sent < echoes; sent++) {
      this.#at(begunMs + sent * 200, () => {
        if (isOver) return;
        this.#counters.txBytes += 100;
        if (!this.#arrives()) return;
        this.#at(this.nowMs + this.#wayMs(), () => {
          this.#counters.rxBytes += 100;
          if (this.like.isMute) return;
          this.#at(this.nowMs + this.like.lateMs(), () => answer(sent));
        });
      });
    }
    this.#at(begunMs + forMs, () => {
      const lost = echoes - answered;
      const echo =
        answered > 0 ? ({ is: "answered", lost, rttMs: firstRttMs } as const) : ({ is: "silent" } as const);
      end({ kind: "echoed", effectId, echo });
    });
  }

  #traffic(everyMs: number): void {
    this.#trafficAtMs = this.nowMs + everyMs;
    this.#counters.txBytes += 200;
    if (!this.like.isAnswered || !this.#arrives()) return;
    this.#at(this.nowMs + this.#wayMs(), () => {
      this.#counters.rxBytes += 200;
    });
  }

  #wayMs(): number {
    const { rttMs, jitterMs } = this.like;
    return jitterMs === 0 ? rttMs : rttMs + this.#random.next() * jitterMs;
  }

  #arrives(): boolean {
    return !this.like.isDead && this.#random.next() >= this.like.lossRatio;
  }

  #at(atMs: number, run: () => void): void {
    this.#due.push({ atMs, run });
  }
}

const questions = {
  long: { echoes: 5, forMs: 1_000 },
  short: { echoes: 3, forMs: 500 },
} as const satisfies Record<Question, { echoes: number; forMs: number }>;
