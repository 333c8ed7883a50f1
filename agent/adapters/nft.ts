import { existsSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { failed, type Result, success } from "../../protocol/failures.ts";
import type { Run } from "../../protocol/node/command.ts";
import { type HeldFirewall, readHeld } from "../core/firewall-held.ts";

/** Comments on chains, and listings as JSON that have every element: the oldest that was seen to have all of it. */
const versionMin = [1, 0, 4] as const;
/** 10,000 users are read in 0.3 s and written in 0.2 s on two cores. */
const defaultTimeoutMs = 10_000;

/** The command `nft`, and of all that it can only what concerns table `inet connector`. */
export class Nft {
  readonly #run: Run;
  readonly #folder: string;
  readonly #timeoutMs: number;
  readonly #onChange: (pid: number) => void;
  #files = 0;
  #isSwept = false;

  /**
   * `folder` holds the texts while they are applied; nobody else may be able to write there. `onChange` is told of the
   * process that makes a change, before it does.
   */
  constructor(options: { run: Run; folder: string; timeoutMs?: number; onChange?: (pid: number) => void }) {
    this.#run = options.run;
    this.#folder = options.folder;
    this.#timeoutMs = options.timeoutMs ?? defaultTimeoutMs;
    this.#onChange = options.onChange ?? (() => undefined);
  }

  /** `1.0.6`, or why this host's nft cannot be used. */
  async version(): Promise<Result<string>> {
    const command = "nft --version";
    const answer = await this.#run(["nft", "--version"], { timeoutMs: this.#timeoutMs });
    if (!answer.ok) return answer;
    const found = /\bv(\d+)\.(\d+)\.(\d+)/.exec(answer.value)?.slice(1).map(Number);
    if (found === undefined)
      return failed("datapath.failing", { command, error: "the answer is not understood" });
    const version = found.join(".");
    if (compare(found, versionMin) >= 0) return success(version);
    return failed("datapath.failing", {
      command,
      error: `${version} is too old`,
      needed: versionMin.join("."),
    });
  }

  /** Applies a text as one transaction: all of it or nothing. By file: nft 1.0.6 cannot read `-f -` from Node. */
  async apply(text: string): Promise<Result<void>> {
    const path = join(this.#folder, `firewall-${process.pid}-${this.#files++}.nft`);
    try {
      this.#sweep();
      writeFileSync(path, text, { mode: 0o600, flag: "wx" });
      const done = await this.#run(["nft", "-f", path], {
        timeoutMs: this.#timeoutMs,
        onStart: this.#onChange,
      });
      return done.ok ? success(undefined) : done;
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? "unknown";
      return failed("datapath.failing", { command: "nft -f", error: `${path}: ${code}` }, error);
    } finally {
      rmSync(path, { force: true });
    }
  }

  /** The table as the kernel holds it; undefined when there is none. */
  async read(): Promise<Result<HeldFirewall | undefined>> {
    const answer = await this.#run(["nft", "-j", "list", "table", "inet", "connector"], {
      timeoutMs: this.#timeoutMs,
    });
    if (answer.ok) return readHeld(answer.value);
    // With its own first word: whoever cannot find the command says the rest too.
    const isMissing = /^Error: No such file or directory/.test(String(answer.failure.facts.error));
    return isMissing ? success(undefined) : answer;
  }

  /** Takes the table away, for an instance that leaves for good. Fine when there is none. */
  remove(): Promise<Result<void>> {
    return this.apply("add table inet connector\ndelete table inet connector\n");
  }

  /** What agents left that were killed at the wrong moment, of this process's number too. */
  #sweep(): void {
    if (this.#isSwept) return;
    this.#isSwept = true;
    for (const name of readdirSync(this.#folder)) {
      const pid = Number(/^firewall-(\d+)-\d+\.nft$/.exec(name)?.[1]);
      const isLeft = pid === process.pid || !existsSync(`/proc/${pid}`);
      if (Number.isInteger(pid) && isLeft) rmSync(join(this.#folder, name), { force: true });
    }
  }
}

function compare(a: readonly number[], b: readonly number[]): number {
  const differs = b.findIndex((part, i) => part !== a[i]);
  return differs < 0 ? 0 : (a[differs] ?? 0) - (b[differs] ?? 0);
}
