import { renameSync } from "node:fs";
import { join } from "node:path";
import { type FailureCode, failed, type Result, success } from "../../protocol/failures.ts";
import { readFileIfThere, writeFileDurably } from "../../protocol/node/files.ts";
import { nothingSaved, SavedState, savedIsLost } from "../core/saved.ts";

/** The device's state on disk: one small JSON file, replaced whole. Only the running device writes it. */
export class StateFile {
  readonly #path: string;

  constructor(folder: string) {
    this.#path = join(folder, "state.json");
  }

  /** What is there, for reading only. `device.state-damaged` when it cannot be read. */
  read(): Result<SavedState> {
    const text = readFileIfThere(this.#path);
    if (text === undefined) return success(nothingSaved);
    try {
      return success(SavedState.parse(JSON.parse(text)));
    } catch (error) {
      return failed("device.state-damaged", { file: this.#path }, error);
    }
  }

  /** What is there, or what is left to go on with after a damaged file, which is kept as `keptAs`. */
  open(): { readonly saved: SavedState; readonly keptAs?: string } {
    const saved = this.read();
    if (saved.ok) return { saved: saved.value };
    const keptAs = `${this.#path}.damaged`;
    renameSync(this.#path, keptAs);
    return { saved: savedIsLost, keptAs };
  }

  /** `store.full`, `store.read-only` or `store.failing` when it is not on disk. */
  save(state: SavedState): Result<void> {
    try {
      writeFileDurably(this.#path, `${JSON.stringify(state, undefined, 2)}\n`);
      return success(undefined);
    } catch (error) {
      return failed(failureOf(error as NodeJS.ErrnoException), { file: this.#path }, error);
    }
  }
}

function failureOf(error: NodeJS.ErrnoException): FailureCode {
  if (error.code === "ENOSPC" || error.code === "EDQUOT") return "store.full";
  return error.code === "EROFS" || error.code === "EACCES" ? "store.read-only" : "store.failing";
}
