import { timestamp } from "./text.ts";

/** What a command of a CLI may touch of its process; handed in, so that a test can be the terminal. */
export interface World {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly now: () => number;
  /** The terminal's size, or undefined when the output is a file or a pipe. It may change while a command runs. */
  screen(): { readonly columns: number; readonly rows: number } | undefined;
  /** Standard output and standard error, as they are. */
  print(text: string): void;
  complain(text: string): void;
  /** Ends what runs: Ctrl-C, SIGTERM, or nobody reads any more. */
  readonly stop: AbortSignal;
}

/**
 * One look of a command that looks again and again. Lines are overwritten and the rest cleared, not the screen beforehand:
 * nothing flickers. In a pipe one block follows the other.
 */
export function watchFrame(body: string, seconds: number, world: Pick<World, "now" | "screen">): string {
  const screen = world.screen();
  const time = timestamp(world.now());
  if (screen === undefined) return `--- ${time}\n${body.trimEnd()}\n`;
  const lines = [`Every ${seconds}s, ${time}. Ctrl-C ends.`, "", ...body.trimEnd().split("\n")];
  const room = Math.max(3, screen.rows - 1);
  const shown =
    lines.length <= room
      ? lines
      : [...lines.slice(0, room - 1), `… ${lines.length - room + 1} more lines than this window has`];
  return `\x1b[H${shown.map((line) => `${line}\x1b[K\n`).join("")}\x1b[J`;
}

/** The process's own world. */
export function processWorld(): World {
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stop.abort());
  // `connector-controller audit list | head`: the reader has seen enough.
  for (const output of [process.stdout, process.stderr]) output.on("error", () => stop.abort());
  return {
    env: process.env,
    now: Date.now,
    screen: () =>
      process.stdout.isTTY
        ? { columns: process.stdout.columns ?? 80, rows: process.stdout.rows ?? 24 }
        : undefined,
    print: (text) => process.stdout.write(text),
    complain: (text) => process.stderr.write(text),
    stop: stop.signal,
  };
}
