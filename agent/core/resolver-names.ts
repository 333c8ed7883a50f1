import { learnedForMs } from "./firewall-learned.ts";
import type { Heard } from "./resolver-health.ts";

/*
 * Names that are kept known
 *
 * The firewall knows an address of a domain from answers of its own resolver only, but a device that was moved here
 * may hold an answer of another instance's. So the instance asks its own resolver for every domain of its services, all
 * the time. dnsmasq learns only from answers that it fetches (`firewall-learned.ts`): what it fetched must leave its cache,
 * and be asked for again, before it may be forgotten.
 */

/** How long the resolver answers from its cache, ms. */
export const cachedForMs = 120_000;

/** From an answer to the next question, ms: at random in between, so that instances do not ask in step. */
export const askAgainMs = { min: 110_000, max: 150_000 } as const;

/** What is left of `learnedForMs` for questions that are lost or late, ms. */
export const spareMs = learnedForMs - cachedForMs - askAgainMs.max;

/** After a question without an answer: longer and longer waits, spread over half to the whole of their length. */
const backoff = { minMs: 4_000, maxMs: 60_000 } as const;

/** BOUNDED: names under question at a time; the caller begins no more than that in a second. */
export const askedMax = 20;

export interface NameQuestion {
  readonly name: string;
}

type State =
  | { readonly is: "resting"; readonly dueAtMs: number; readonly misses: number }
  | { readonly is: "asked"; readonly question: NameQuestion; readonly misses: number };

/** Which names to ask the resolver for, and when. */
export class KeptNames {
  /** BOUNDED: one per domain of the services. */
  readonly #names = new Map<string, State>();
  readonly #random: () => number;
  #process: number | undefined;

  /** `random`: a uniform number in [0, 1). */
  constructor(random: () => number) {
    this.#random = random;
  }

  /**
   * The questions that are due, the longest due first. A name that is new is due, and each is after a start of the
   * resolver: `process` is its id, undefined while there is none. What is no longer in `names` is forgotten.
   */
  next(names: ReadonlySet<string>, process: number | undefined, nowMs: number): NameQuestion[] {
    if (process !== this.#process) this.#names.clear();
    this.#process = process;
    if (process === undefined) return [];
    for (const name of this.#names.keys()) if (!names.has(name)) this.#names.delete(name);
    for (const name of names) {
      if (!this.#names.has(name)) this.#names.set(name, { is: "resting", dueAtMs: nowMs, misses: 0 });
    }
    const resting = [...this.#names].flatMap(([name, state]) =>
      state.is === "resting" ? [{ name, ...state }] : [],
    );
    const asked = this.#names.size - resting.length;
    const due = resting.filter(({ dueAtMs }) => dueAtMs <= nowMs).sort((a, b) => a.dueAtMs - b.dueAtMs);
    return due.slice(0, askedMax - asked).map(({ name, misses }) => {
      const question = { name };
      this.#names.set(name, { is: "asked", question, misses });
      return question;
    });
  }

  /** What came of a question: for both families the worse. That of an earlier process, or name, counts no more. */
  heard(question: NameQuestion, heard: Heard, nowMs: number): void {
    const state = this.#names.get(question.name);
    if (state?.is !== "asked" || state.question !== question) return;
    const misses = heard === "answer" ? 0 : state.misses + 1;
    this.#names.set(question.name, { is: "resting", dueAtMs: nowMs + this.#waitMs(misses), misses });
  }

  #waitMs(misses: number): number {
    if (misses === 0) return askAgainMs.min + this.#random() * (askAgainMs.max - askAgainMs.min);
    const wholeMs = Math.min(backoff.maxMs, backoff.minMs * 2 ** Math.min(misses - 1, 16));
    return wholeMs * (0.5 + this.#random() / 2);
  }
}
