import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname } from "node:path";
import { Failure } from "../failures.ts";

/**
 * Replaces a file so that after a crash at any moment the old or the new content is there, whole: written beside it,
 * synced, renamed, and the folder synced. Throws the file system's error.
 */
export function writeFileDurably(path: string, content: string, mode = 0o600): void {
  const temporary = `${path}.new`;
  rmSync(temporary, { force: true });
  const file = openSync(temporary, "wx", mode);
  try {
    writeFileSync(file, content);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(temporary, path);
  syncPath(dirname(path));
}

/** A file system's error as the catalogue has it: `store.full`, `store.read-only` or `store.failing`. */
export function storageFailure(error: unknown, path: string): Failure {
  const code = (error as NodeJS.ErrnoException | undefined)?.code ?? "unknown";
  const facts = { path, error: code };
  if (code === "ENOSPC" || code === "EDQUOT") return new Failure("store.full", facts, error);
  const isReadOnly = code === "EROFS" || code === "EACCES" || code === "EPERM";
  return new Failure(isReadOnly ? "store.read-only" : "store.failing", facts, error);
}

/** The file's text, or undefined when there is none. Throws for any other reason. */
export function readFileIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/**
 * Makes a folder and those above it that are missing. Throws the file system's error. Step by step, because Node's own
 * `recursive` never returns where a folder that is there refuses new ones with ENOENT, as /proc does.
 */
export function makeFolder(path: string, mode = 0o750): void {
  if (isFolder(path)) return;
  const above = dirname(path);
  if (!existsSync(above)) makeFolder(above, mode);
  try {
    mkdirSync(path, mode);
  } catch (error) {
    // Another process may have been faster.
    if (!isFolder(path)) throw error;
  }
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

/** What was written to a file, or which files a folder has, is on disk then. Throws the file system's error. */
export function syncPath(path: string): void {
  const opened = openSync(path, "r");
  try {
    fsyncSync(opened);
  } finally {
    closeSync(opened);
  }
}
