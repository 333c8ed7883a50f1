import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { failed, type Result, success } from "../failures.ts";

export interface CommandOptions {
  /** Written to its standard input. */
  readonly input?: string;
  readonly timeoutMs?: number;
  /** Told of its process id, when it has one. */
  readonly onStart?: (pid: number) => void;
}

/** Runs a command to its end. `datapath.failing` with the command and what it said, or why it could not be asked. */
export type Run = (argv: readonly string[], options?: CommandOptions) => Promise<Result<string>>;

/** No answer of `ip`, `wg` or `nft` to what we ask is longer: 10,000 peers are 3 MB. */
const outputBytesMax = 64 * 1024 * 1024;
const defaultTimeoutMs = 10_000;

/**
 * A runner of commands. `inside` stands before every command, as `ip netns exec NAME` does: for hosts that are network
 * namespaces. Nothing secret may stand in an argument: every user of the host can read those.
 */
export function commandRunner(inside: readonly string[] = []): Run {
  return (argv, options = {}) => runOnce([...inside, ...argv], argv, options);
}

function runOnce(
  full: readonly string[],
  shown: readonly string[],
  options: CommandOptions,
): Promise<Result<string>> {
  const { promise, resolve } = Promise.withResolvers<Result<string>>();
  const [file = "", ...args] = full;
  const fail = (error: string, cause?: unknown) =>
    resolve(failed("datapath.failing", { command: shown.join(" ").slice(0, 200), error }, cause));

  let child: ChildProcessWithoutNullStreams;
  try {
    // Its words are read by programs.
    child = spawn(file, args, { stdio: "pipe", env: { ...process.env, LC_ALL: "C" } });
  } catch (error) {
    fail((error as Error).message, error);
    return promise;
  }
  child.on("error", (error: NodeJS.ErrnoException) => {
    clearTimeout(timer);
    fail(error.code === "ENOENT" ? `${file} is not installed` : (error.code ?? error.message), error);
  });
  const timeoutMs = options.timeoutMs ?? defaultTimeoutMs;
  const timer = setTimeout(() => {
    child.kill("SIGKILL");
    // Answered now: a child in uninterruptible sleep does not end, and its pipes may be held by others.
    fail(`no end within ${timeoutMs} ms`);
    for (const pipe of child.stdio) pipe?.destroy();
    child.unref();
  }, timeoutMs);
  if (child.pid !== undefined) options.onStart?.(child.pid);
  // Without a free descriptor there are no pipes; the error is on its way.
  if (child.stdout === undefined) return promise;
  const stdout = collect(child.stdout, outputBytesMax, () => {
    child.kill("SIGKILL");
    fail("the output is too long");
  });
  const stderr = collect(child.stderr, 64 * 1024, () => undefined);

  child.on("close", (code, signal) => {
    clearTimeout(timer);
    if (code === 0) resolve(success(stdout.text()));
    else fail(oneLine(stderr.text()) || (signal === null ? `exit code ${code}` : `ended by ${signal}`));
  });
  // A child that ends without reading is told of by its exit code.
  child.stdin.on("error", () => undefined);
  child.stdin.end(options.input ?? "");
  return promise;
}

function collect(stream: NodeJS.ReadableStream, bytesMax: number, onTooLong: () => void) {
  /** BOUNDED: by `bytesMax`. */
  const chunks: Buffer[] = [];
  let bytes = 0;
  stream.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > bytesMax) onTooLong();
    else chunks.push(chunk);
  });
  return { text: () => Buffer.concat(chunks).toString("utf8") };
}

/** What it said, with all its lines: the second one of `ip -batch` tells which command it was. */
function oneLine(text: string): string {
  return text
    .trim()
    .replaceAll(/\s*\n\s*/g, "; ")
    .slice(0, 300);
}
