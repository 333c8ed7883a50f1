import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { openSync } from "node:fs";

/** What a process of the bench answers to its parent. */
export type Handlers = Readonly<Record<string, (argument: never) => unknown>>;

interface Question {
  readonly id: number;
  readonly what: string;
  readonly argument: unknown;
}

interface Reply {
  readonly id: number;
  readonly answer?: unknown;
  readonly error?: string;
}

/** A program of the bench in a process of its own, asked and answered in JSON. It ends with this process. */
export class Child<Asked extends Handlers> implements AsyncDisposable {
  readonly #process: ChildProcess;
  readonly #waiting = new Map<number, { resolve: (answer: unknown) => void; reject: (why: Error) => void }>();
  #ids = 0;

  /** `logFile`: where its standard output goes; nowhere when absent. Resolves when it has said that it is ready. */
  static async start<Asked extends Handlers>(
    program: string,
    options: unknown,
    logFile?: string,
  ): Promise<Child<Asked>> {
    const output = logFile === undefined ? "ignore" : openSync(logFile, "a");
    const child = new Child<Asked>(
      fork(program, [JSON.stringify(options)], { stdio: ["ignore", output, "inherit", "ipc"] }),
    );
    await child.#ask("ready", undefined);
    return child;
  }

  private constructor(child: ChildProcess) {
    this.#process = child;
    child.on("message", (reply: Reply) => {
      const waiting = this.#waiting.get(reply.id);
      this.#waiting.delete(reply.id);
      if (reply.error === undefined) waiting?.resolve(reply.answer);
      else waiting?.reject(new Error(reply.error));
    });
    child.on("exit", (code, signal) => {
      for (const { reject } of this.#waiting.values()) reject(new Error(`it ended: ${signal ?? code}`));
      this.#waiting.clear();
    });
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  ask<What extends keyof Asked & string>(
    what: What,
    ...[argument]: Parameters<Asked[What]>
  ): Promise<Awaited<ReturnType<Asked[What]>>> {
    return this.#ask(what, argument) as Promise<Awaited<ReturnType<Asked[What]>>>;
  }

  /** SIGKILL: it has no time to say or write anything. */
  async kill(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const exited = once(this.#process, "exit");
    this.#process.kill("SIGKILL");
    await exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }

  #ask(what: string, argument: unknown): Promise<unknown> {
    const id = ++this.#ids;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      const question: Question = { id, what, argument };
      this.#process.send(question);
    });
  }
}

/** In the child: what it was started with. */
export function optionsOfChild<Options>(): Options {
  return JSON.parse(process.argv[2] ?? "{}") as Options;
}

/** In the child: answers the parent until that ends. */
export function answerParent(handlers: Handlers): void {
  const all: Handlers = { ...handlers, ready: () => true };
  process.on("message", async ({ id, what, argument }: Question) => {
    const reply: Reply = await Promise.resolve()
      .then(() => all[what]?.(argument as never))
      .then((answer) => ({ id, answer }))
      .catch((error: Error) => ({ id, error: error.stack ?? error.message }));
    process.send?.(reply);
  });
  process.on("disconnect", () => process.exit());
}
