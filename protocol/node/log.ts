import { type Logger, pino } from "pino";

export type { Logger };

export type LogLevel = "debug" | "info" | "warn" | "error" | "silent";

/** What a log that cannot be written keeps at most; the lines after that are lost. */
const unwrittenBytesMax = 1024 * 1024;

/**
 * JSON lines on a file descriptor, written synchronously so that the last line before a crash is there. journald adds
 * time and host; secrets are of type Secret and print as `[secret]`, and known field names are redacted besides.
 */
export function createLogger(options: { name: string; level: LogLevel; fd?: 1 | 2 }): Logger {
  const destination = pino.destination({ fd: options.fd ?? 1, sync: true, maxLength: unwrittenBytesMax });
  // A log that cannot be written, as on a full disk, is no reason to end: what it kept is written with the next line.
  destination.on("error", () => undefined);
  return pino(
    {
      name: options.name,
      level: options.level,
      base: null,
      redact: {
        // Not `code`: that is the failure's. Join codes are of type Secret.
        paths: ["otp", "token", "*.otp", "*.token", "privateKey", "*.privateKey"],
        censor: "[secret]",
      },
      formatters: { level: (label) => ({ level: label }) },
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
    },
    destination,
  );
}
