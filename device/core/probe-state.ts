import type { Question } from "./question.ts";

export type Verdict = "alive" | "dead";

/** All that the path's peer has sent and was sent so far. */
export interface Counters {
  readonly rxBytes: number;
  readonly txBytes: number;
}

export type ProbeState =
  | { readonly kind: "idle" }
  | {
      readonly kind: "watching";
      readonly path: string;
      /** Results of effects of before belong to another path, or to before the sleep. */
      readonly sinceEffectId: number;
      /** As they were when it was last looked, or when a question was last answered. */
      readonly counters: Counters | undefined;
      /** The reading that only counts what the answered question has added: it is no further sign of life. */
      readonly recount: number | undefined;
      readonly asking: Asking | undefined;
      /** The last answer to a question: when it came, and after how long. */
      readonly answered: Answered | undefined;
      /** The last question went unanswered: the next reading, this one or a later, decides. */
      readonly confirming: { readonly effectId: number; readonly txBytes: number } | undefined;
      /** When something last came back; at first, when the watch began. */
      readonly heardAtMs: number;
      /** When something was sent for the first time since. */
      readonly sentAtMs: number | undefined;
      /** How much was asked without an answer since. */
      readonly inVain: number;
      readonly doubts: Doubts;
      readonly lookAtMs: number;
      readonly verdict: Verdict | undefined;
    };

interface Answered {
  readonly atMs: number;
  readonly rttMs: number;
  readonly isFirst: boolean;
}

interface Asking {
  readonly effectId: number;
  readonly atMs: number;
  readonly question: Question;
  /** What had been sent by then. */
  readonly txBytes: number;
}

export type Watching = Extract<ProbeState, { kind: "watching" }>;

/** How often the path has lately lost what it then turned out to carry: such a path is asked more often before it is given up. */
interface Doubts {
  readonly count: number;
  readonly lastAtMs: number;
}
