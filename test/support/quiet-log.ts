import type { Logger } from "../../protocol/node/log.ts";
import { createLogger } from "../../protocol/node/log.ts";

/** A logger that keeps its lines instead of writing them. */
export function keepingLog(): {
  log: Logger;
  lines: { level: string; fields: Record<string, unknown>; text: string }[];
} {
  const lines: { level: string; fields: Record<string, unknown>; text: string }[] = [];
  const log = createLogger({ name: "test", level: "silent" });
  for (const level of ["error", "warn", "info"] as const) {
    log[level] = ((fields: Record<string, unknown>, text: string) => {
      lines.push({ level, fields, text });
    }) as Logger["error"];
  }
  return { log, lines };
}
