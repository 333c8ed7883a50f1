import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startOf } from "../protocol/node/processes.ts";

const namePrefix = "connector-lab-";
/** What a Unix socket's path may have (unix(7)), less what the longest in a run folder has after the folder's parent. */
const parentBytesMax = 107 - "/connector-lab-XXXXXX/instance-64/agent.sock".length;
const ownerFile = "lab.pid";

/**
 * Makes the folder that holds everything of one run, after removing those of labs that are no more. Throws the file
 * system's error, or that the parent's name is too long.
 */
export function makeRunFolder(parent = tmpdir()): string {
  if (Buffer.byteLength(parent) > parentBytesMax) {
    throw new RangeError(`sockets in ${parent} would have too long a name; set TMPDIR to a shorter one`);
  }
  removeLeftovers(parent);
  const folder = mkdtempSync(join(parent, namePrefix));
  writeFileSync(join(folder, ownerFile), ownerOf(process.pid) ?? "");
  return folder;
}

export function removeRunFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
}

/** The folders of the labs that run, newest first. */
export function runningLabs(parent = tmpdir()): string[] {
  return labFolders(parent).filter(isOwned).sort(byAge).reverse();
}

/** Takes away the mark of the owner's life, so that a folder that was kept on purpose is not cleaned up. */
export function keepRunFolder(folder: string): void {
  rmSync(join(folder, ownerFile), { force: true });
}

function removeLeftovers(parent: string): void {
  for (const folder of labFolders(parent)) {
    const owner = ownerIn(folder);
    if (owner !== undefined && !runs(owner)) removeRunFolder(folder);
  }
}

function labFolders(parent: string): string[] {
  return readdirSync(parent)
    .filter((name) => name.startsWith(namePrefix))
    .map((name) => join(parent, name));
}

function isOwned(folder: string): boolean {
  const owner = ownerIn(folder);
  return owner !== undefined && runs(owner);
}

function runs(owner: string): boolean {
  return owner === ownerOf(Number.parseInt(owner, 10));
}

/** Undefined where there is no mark, and where a lab that starts just now has made the file and not written it yet. */
function ownerIn(folder: string): string | undefined {
  try {
    return readFileSync(join(folder, ownerFile), "utf8") || undefined;
  } catch {
    return undefined;
  }
}

/** A process id and when that process started: ids are used again, the pair is not. Undefined when it does not run. */
export function ownerOf(pid: number): string | undefined {
  const startedAt = startOf(pid);
  return startedAt === undefined ? undefined : `${pid} ${startedAt}`;
}

function byAge(a: string, b: string): number {
  return startedIn(a) - startedIn(b);
}

function startedIn(folder: string): number {
  return Number(ownerIn(folder)?.split(" ")[1] ?? 0);
}
