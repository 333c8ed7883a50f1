import type { ChildProcess } from "node:child_process";
import type { Host } from "./host.ts";
import type { Numbered, Question, Told } from "./questions.ts";
import { programFile, startProgram } from "./sockets.ts";

const gone: Told = { answer: { ok: false, why: "the program that asks has ended" }, tookMs: 0 };

/** Somebody who sits at a host and tries one thing after the other: one process for all questions, where `ask` is one each. */
export class Asker implements AsyncDisposable {
  readonly #host: Host;
  #child: ChildProcess | undefined;
  #asked = 0;
  // BOUNDED: by who asks; each question has a deadline.
  readonly #waiting = new Map<number, (told: Told) => void>();

  constructor(host: Host) {
    this.#host = host;
  }

  async ask(question: Question): Promise<Told> {
    const child = this.#running();
    const number = this.#asked++;
    const { promise, resolve } = Promise.withResolvers<Told>();
    this.#waiting.set(number, resolve);
    child.send({ number, what: question } satisfies Numbered<Question>, (error) => {
      if (error !== null) this.#answer(number, gone);
    });
    return promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    await ended;
  }

  /** The process; a new one when the last has ended. */
  #running(): ChildProcess {
    if (this.#child !== undefined) return this.#child;
    const child = startProgram([...this.#host.command(), programFile("ask")]);
    this.#child = child;
    child.on("message", (message) => {
      const { number, what } = message as Numbered<Told>;
      this.#answer(number, what);
    });
    const end = () => {
      if (this.#child === child) this.#child = undefined;
      for (const number of [...this.#waiting.keys()]) this.#answer(number, gone);
    };
    child.once("exit", end).once("error", end);
    return child;
  }

  #answer(number: number, told: Told): void {
    this.#waiting.get(number)?.(told);
    this.#waiting.delete(number);
  }
}
