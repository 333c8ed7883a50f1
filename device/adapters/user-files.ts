import { rmSync, unwatchFile, watchFile } from "node:fs";
import { join } from "node:path";
import { readFileIfThere, writeFileDurably } from "../../protocol/node/files.ts";
import { Secret } from "../../protocol/secret.ts";
import type { Wants } from "../core/attachment.ts";

/** How often the files that people change are looked at, ms. */
const lookEveryMs = 500;

/** What a person hands to a device that runs: the join code, and whether to be attached. */
export class UserFiles implements Disposable {
  readonly #codePath: string | undefined;
  readonly #wantsPath: string;

  constructor(folder: string, codePath: string | undefined) {
    this.#codePath = codePath;
    this.#wantsPath = join(folder, "wants");
  }

  /** Undefined when there is no file, or an empty one. Throws when it cannot be read. */
  readCode(): Secret | undefined {
    const text = this.#codePath === undefined ? undefined : readFileIfThere(this.#codePath)?.trim();
    return text === undefined || text === "" ? undefined : new Secret(text);
  }

  removeCode(): void {
    if (this.#codePath !== undefined) rmSync(this.#codePath, { force: true });
  }

  /** Attached unless the user logged out. */
  readWants(): Wants {
    return readFileIfThere(this.#wantsPath)?.trim() === "detached" ? "detached" : "attached";
  }

  writeWants(wants: Wants): void {
    writeFileDurably(this.#wantsPath, `${wants}\n`);
  }

  /** Looks by name, not by file: both are replaced rather than written into. */
  watch(onCode: () => void, onWants: () => void): void {
    const options = { interval: lookEveryMs };
    if (this.#codePath !== undefined) watchFile(this.#codePath, options, onCode);
    watchFile(this.#wantsPath, options, onWants);
  }

  [Symbol.dispose](): void {
    if (this.#codePath !== undefined) unwatchFile(this.#codePath);
    unwatchFile(this.#wantsPath);
  }
}
