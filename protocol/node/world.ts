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

/** The process's own world. */
export function processWorld(): World {
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stop.abort());
  // `connector-controller audit list | head`: the reader has seen enough.
  process.stdout.on("error", () => stop.abort());
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
