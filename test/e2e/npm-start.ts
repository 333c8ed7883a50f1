import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startOf } from "../../protocol/node/processes.ts";
import { until } from "../support/until.ts";

const root = join(import.meta.dirname, "..", "..");

export interface Started {
  readonly child: ChildProcess;
  readonly output: () => string;
  readonly ended: Promise<{ code: number | null; signal: string | null }>;
  /** Nobody has its output open any more: all of it was read. */
  readonly closed: Promise<void>;
}

/** `npm start` as a person runs it: scripts, processes, signals. Run folders go to a folder of its own. */
export class NpmStart implements Disposable {
  readonly temporary = mkdtempSync(join(tmpdir(), "e2e-"));
  readonly #started = new Set<ChildProcess>();

  start(command: string, ...args: string[]): Started {
    const env = { ...process.env, TMPDIR: this.temporary };
    const child = spawn(command, args, {
      cwd: root,
      env,
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#started.add(child);
    let text = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (chunk: Buffer) => {
        text += chunk.toString();
      });
    }
    const { promise: ended, resolve } = Promise.withResolvers<Awaited<Started["ended"]>>();
    child.once("exit", (code, signal) => resolve({ code, signal }));
    const { promise: closed, resolve: close } = Promise.withResolvers<void>();
    child.once("close", () => close());
    return { child, output: () => text, ended, closed };
  }

  /** To its end, which nobody but itself brings about. */
  async whole(command: string, ...args: string[]) {
    return whole(this.start(command, ...args));
  }

  /** The lab in little, without npm, once it shows the list. */
  async startLive(...options: string[]): Promise<Started> {
    const lab = this.start(process.execPath, join(root, "scripts", "run.mjs"), "lab/main.ts", ...options);
    await showsList(lab);
    return lab;
  }

  async shell(command: string) {
    return this.whole("sh", "-c", command);
  }

  /** `npm run -s lab -- …` */
  async play(...args: string[]) {
    return this.whole(process.execPath, join(root, "lab", "control.ts"), ...args);
  }

  /** npm keeps its own compile cache in the temporary folder too. */
  runFolders(): string[] {
    return readdirSync(this.temporary).filter((name) => name !== "node-compile-cache");
  }

  /** Ends what was started and not waited for. */
  end(): void {
    for (const child of this.#started) child.kill("SIGKILL");
    this.#started.clear();
  }

  [Symbol.dispose](): void {
    this.end();
    rmSync(this.temporary, { recursive: true, force: true });
  }
}

export async function showsList(lab: Started): Promise<void> {
  await until("the list", () => /Name .*Provider Instance Id/.test(lab.output()), 60_000);
}

/** The lines to copy, and the one that must be read before them. */
export function copied({ output }: Started): { lines: string[]; environment: string } {
  const lines = [...output().matchAll(/^ {2}.{13} ((?:npm|curl|imds|on) .*)$/gm)].map(
    ([, text]) => text ?? "",
  );
  return { lines, environment: /^ {2}then +(\. \S+)/m.exec(output())?.[1] ?? "" };
}

/** The lab, which the starting process runs as its only child (proc_pid_task_children). */
export function childOf({ child }: Started): number {
  const pid = child.pid ?? 0;
  return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ")[0]);
}

export function isAlive(pid: number): boolean {
  return startOf(pid) !== undefined;
}

/** How it ended, and all that it said: what was said last may be read after its end. */
async function whole({ ended, closed, output }: Started) {
  const how = await ended;
  await closed;
  return { ...how, output: output() };
}
