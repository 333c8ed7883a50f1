import { exitCodes } from "../protocol/node/text.ts";
import { keepRunFolder, makeRunFolder, removeRunFolder } from "./run-folder.ts";
import type { Screen } from "./screen.ts";

/** Says when this program is to end: it was asked to, nobody reads what it prints, or who started it is gone. */
export function untilStopped(): AbortSignal {
  const stop = new AbortController();
  // For good, not once: Ctrl-C arrives twice, from the terminal and from the process that started this one.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => stop.abort());
  process.stdout.on("error", () => stop.abort());
  // The one who started it was killed and could not say so.
  const starter = process.ppid;
  setInterval(() => process.ppid === starter || stop.abort(), 1_000).unref();
  return stop.signal;
}

/** Runs in a folder of its own, which goes at the end unless it is to be kept. Returns the exit code. */
export async function inRunFolder(
  { screen, signal, keep }: { readonly screen: Screen; readonly signal: AbortSignal; readonly keep: boolean },
  run: (folder: string) => Promise<number>,
): Promise<number> {
  let folder: string | undefined;
  try {
    folder = makeRunFolder();
    screen.say(`run folder ${folder}`);
    return await run(folder);
  } catch (error) {
    if (!signal.aborted) screen.print(`The lab cannot go on: ${(error as Error).message}`);
    return exitCodes.failed;
  } finally {
    if (folder !== undefined) {
      if (keep) keepRunFolder(folder);
      else removeRunFolder(folder);
      screen.say("everything is stopped");
    }
  }
}

/** Of a number that an option takes. */
export function isWithin(value: number, min: number, max: number): boolean {
  return Number.isInteger(value) && value >= min && value <= max;
}
