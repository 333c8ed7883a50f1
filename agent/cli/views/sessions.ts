import { failureEntry, isFailureCode } from "../../../protocol/failures.ts";
import { duration, exitCodes } from "../../../protocol/node/text.ts";
import type { SessionView } from "../../../protocol/view.ts";
import { type Page, paragraph, type Report } from "../page.ts";
import { addressTable, byAddress } from "./addresses.ts";
import { countLine, type Filter, matches } from "./leases.ts";

/** Who is served here, and why somebody is not. */
export function sessionsReport(sessions: readonly SessionView[], filter: Filter): Report {
  const shown = sessions
    .filter((session) => matches(session, filter))
    .toSorted((a, b) => byAddress(a, b) || a.user.localeCompare(b.user, "en"));
  return {
    json: shown,
    exitCode: exitCodes.fine,
    text: (page) => sessionsText(shown, sessions.length, page),
  };
}

function sessionsText(sessions: readonly SessionView[], all: number, page: Page): string {
  if (sessions.length === 0) return all === 0 ? "No sessions.\n" : `None of ${all} sessions matches.\n`;
  const rows = sessions.map((session) => ({ ...session, time: seen(session, page) }));
  const codes = new Set(
    sessions.flatMap(({ code }) => (code !== undefined && isFailureCode(code) ? [code] : [])),
  );
  const notes = [...codes].map((code) => {
    const { summary, hint } = failureEntry(code);
    return `${paragraph(`${code}: ${summary}.`, page.width)}\n${paragraph(hint, page.width, "  → ")}`;
  });
  const count = countLine(sessions.length, all, "session");
  return `${[addressTable("Seen", rows, page.width), ...notes, count].join("\n\n")}\n`;
}

function seen({ lastSeenMs }: SessionView, { nowMs }: Page): string {
  return lastSeenMs === undefined ? "never" : `${duration(Math.max(0, nowMs - lastSeenMs))} ago`;
}
