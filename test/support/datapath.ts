import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { DataPathPlan, DataPathState, SessionTraffic } from "../../agent/core/ports.ts";
import type { KeyPair } from "../../protocol/node/keys.ts";
import type { ResourceSpec } from "../../protocol/specs.ts";

/** A plan as it travels to the child: its map as entries. */
export type PlanText = Omit<DataPathPlan, "resources"> & {
  readonly resources: readonly (readonly [id: string, spec: ResourceSpec])[];
};

export type DataPathOrder =
  | { readonly do: "apply"; readonly plan: PlanText }
  /** Begins an apply, and takes everything away for good. */
  | { readonly do: "leave"; readonly plan: PlanText }
  | { readonly do: "compare" }
  | { readonly do: "traffic" };

export type DataPathAnswer =
  | { readonly news: true }
  | { readonly answer: Readonly<Record<string, unknown>>; readonly tookMs: number; readonly cpuMs: number };

export interface Done<T> {
  readonly value: T;
  readonly tookMs: number;
  /** Of the child's own processor time; the programs it runs are not in it. */
  readonly cpuMs: number;
}

/** `LinuxDataPath` in a process on another host: `command` enters that host and runs its arguments. */
export class DataPathChild implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #answers: AsyncIterator<string>;
  #log = "";
  /** How often it said that something changed by itself. */
  news = 0;

  constructor(options: {
    readonly command: readonly [string, ...string[]];
    readonly folder: string;
    readonly key: KeyPair;
    readonly port?: number;
  }) {
    const [program, ...args] = options.command;
    const script = join(import.meta.dirname, "datapath-child.ts");
    const { folder, key, port = 51_820 } = options;
    this.#child = spawn(program, [...args, script, folder, key.publicKey, `${port}`], {
      stdio: ["pipe", "pipe", "pipe"],
      env: { ...process.env, CONNECTOR_TEST_KEY: key.privateKey },
    });
    this.#child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#log += text;
    });
    if (this.#child.stdout === null) throw new Error("no output");
    this.#answers = createInterface(this.#child.stdout)[Symbol.asyncIterator]();
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  get log(): string {
    return this.#log;
  }

  apply(plan: PlanText): Promise<Done<DataPathState>> {
    return this.#ask({ do: "apply", plan });
  }

  /** An apply that is to fail: why it did. */
  async refusal(plan: PlanText): Promise<Readonly<Record<string, unknown>>> {
    const { answer } = await this.#order({ do: "apply", plan });
    if (answer.ok === true) throw new Error("the apply did not fail");
    return answer;
  }

  compare(): Promise<Done<DataPathState>> {
    return this.#ask({ do: "compare" });
  }

  /** Answers with what could not be taken away, when the apply has ended too. */
  leave(plan: PlanText): Promise<Done<readonly unknown[]>> {
    return this.#ask({ do: "leave", plan });
  }

  async traffic(): Promise<Done<ReadonlyMap<string, SessionTraffic>>> {
    const done = await this.#ask<[string, SessionTraffic][]>({ do: "traffic" });
    return { ...done, value: new Map(done.value) };
  }

  /** As an agent dies: what it set up stays. */
  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill("SIGKILL");
    await once(this.#child, "exit");
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill();
  }

  async #ask<T>(order: DataPathOrder): Promise<Done<T>> {
    const { answer, tookMs, cpuMs } = await this.#order(order);
    if (answer.ok !== true) throw new Error(`${order.do}: ${JSON.stringify(answer)}`);
    return { value: answer.value as T, tookMs, cpuMs };
  }

  async #order(order: DataPathOrder): Promise<Extract<DataPathAnswer, { answer: unknown }>> {
    this.#child.stdin?.write(`${JSON.stringify(order)}\n`);
    for (;;) {
      const line = await this.#answers.next();
      if (line.done === true) throw new Error(`the data path's process has ended: ${this.#log}`);
      const said = JSON.parse(line.value) as DataPathAnswer;
      if ("answer" in said) return said;
      this.news += 1;
    }
  }
}
