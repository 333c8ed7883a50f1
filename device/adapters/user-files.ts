import { rmSync, statSync } from "node:fs";
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
  #looking: NodeJS.Timeout | undefined;

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

  /** Readable by all who may look into the folder: root may log a user's device out. */
  writeWants(wants: Wants): void {
    writeFileDurably(this.#wantsPath, `${wants}\n`, 0o644);
  }

  /**
   * Tells of both at the first look, `lookEveryMs` from now, whatever was read before: what was written since then would
   * else never be a change (as with `watchFile` of node:fs). Then of each when it changes. Looks by name,
   * not by file: both are replaced rather than written into.
   */
  watch(onCode: () => void, onWants: () => void): void {
    const looks = [lookAt(this.#wantsPath, onWants)];
    if (this.#codePath !== undefined) looks.push(lookAt(this.#codePath, onCode));
    this.#looking = setInterval(() => {
      for (const look of looks) look();
    }, lookEveryMs);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#looking);
  }
}

/** The stamp is taken before `onChange` reads: what changes in between is told at the next look. */
function lookAt(path: string, onChange: () => void): () => void {
  let told: string | undefined;
  return () => {
    const seen = stampOf(path);
    if (seen === told) return;
    told = seen;
    onChange();
  };
}

function stampOf(path: string): string {
  try {
    const stat = statSync(path, { bigint: true, throwIfNoEntry: false });
    return stat === undefined ? "absent" : `${stat.ino} ${stat.size} ${stat.mtimeNs} ${stat.ctimeNs}`;
  } catch (error) {
    return (error as Error).message;
  }
}
