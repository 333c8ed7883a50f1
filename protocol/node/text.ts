/** How values look to people: the same in every CLI and in the lab. */

/**
 * Exit codes of the command lines. `failed` is "degraded" where a command only reads. 64, 75 and 78 are those of sysexits(3);
 * `startAgain` is no success, so that a service manager that restarts on failure alone does it, too.
 */
export const exitCodes = {
  fine: 0,
  failed: 1,
  cannotTell: 2,
  usage: 64,
  startAgain: 75,
  configuration: 78,
} as const;

/** `2d 3h`, `3h 12m`, `5m 2s`, `12s`, `340ms`: the two largest units, rounded down. */
export function duration(ms: number): string {
  if (!Number.isFinite(ms)) return "-";
  if (ms < 0) return `-${duration(-ms)}`;
  if (ms < 1000) return `${Math.floor(ms)}ms`;
  const seconds = Math.floor(ms / 1000);
  const minutes = Math.floor(seconds / 60);
  const hours = Math.floor(minutes / 60);
  const days = Math.floor(hours / 24);
  if (days > 0) return both(days, "d", hours % 24, "h");
  if (hours > 0) return both(hours, "h", minutes % 60, "m");
  if (minutes > 0) return both(minutes, "m", seconds % 60, "s");
  return `${seconds}s`;
}

/** `340 B`, `1.2 kB`, `53 MB`: three digits at most, in powers of ten as traffic is counted, rounded down. */
export function byteSize(bytes: number): string {
  let [value, unit] = [bytes, 0];
  while (value >= 1000 && unit < byteUnits.length - 1) {
    value /= 1000;
    unit++;
  }
  const digits = unit > 0 && value < 10 ? Math.floor(value * 10) / 10 : Math.floor(value);
  return `${digits} ${byteUnits[unit] ?? ""}`;
}

const byteUnits = ["B", "kB", "MB", "GB", "TB", "PB"] as const;

/** `2026-10-28 10:48:06Z`: UTC like the log, so that the two can be compared. */
export function timestamp(epochMs: number | undefined): string {
  if (epochMs === undefined || Math.abs(epochMs) > 8.64e15) return "-";
  return new Date(epochMs)
    .toISOString()
    .replace("T", " ")
    .replace(/\.\d+Z$/, "Z");
}

/**
 * Text that may be printed on a terminal: control and direction-changing characters, with which a name could rewrite
 * what the operator sees, become `\u{…}`.
 */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\u2028-\u202e\u2066-\u2069]/gu, (char) => {
    return `\\u{${(char.codePointAt(0) ?? 0).toString(16)}}`;
  });
}

/** Columns a terminal needs for the text: wide scripts and emoji take two, combining marks none. */
export function textWidth(text: string): number {
  let width = 0;
  for (const char of text) width += narrow.test(char) ? 1 : none.test(char) ? 0 : wide.test(char) ? 2 : 1;
  return width;
}

const narrow = /^[\x20-\x7e]$/;
const none = /^[\p{Mn}\p{Me}\p{Cf}]$/u;
const wide =
  /^[\p{Script=Han}\p{Script=Hangul}\p{Script=Hiragana}\p{Script=Katakana}\p{Emoji_Presentation}\u3000-\u303e\uff01-\uff60\uffe0-\uffe6]$/u;

function both(large: number, largeUnit: string, small: number, smallUnit: string): string {
  return small === 0 ? `${large}${largeUnit}` : `${large}${largeUnit} ${small}${smallUnit}`;
}
