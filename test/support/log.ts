import { Writable } from "node:stream";
import { pino } from "pino";
import { onTestFinished } from "vitest";
import type { Logger } from "../../protocol/node/log.ts";

export interface LogLine {
  readonly level: string;
  readonly msg: string;
  readonly [field: string]: unknown;
}

/** A log that a test can read. A line of level error fails the test, unless it says that it expects them. */
export function testLog(options: { errors?: "expected" } = {}): { log: Logger; lines: () => LogLine[] } {
  const lines: LogLine[] = [];
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      lines.push(JSON.parse(chunk.toString()) as LogLine);
      done();
    },
  });
  const log = pino({ level: "debug", base: null, formatters: { level: (level) => ({ level }) } }, stream);
  onTestFinished(() => {
    const errors = lines.filter(({ level }) => level === "error");
    if (errors.length > 0 && options.errors !== "expected") {
      throw new Error(`lines of level error:\n${errors.map((line) => JSON.stringify(line)).join("\n")}`);
    }
  });
  return { log, lines: () => [...lines] };
}
