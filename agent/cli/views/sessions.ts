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
  const columns = [
    { title: "User", max: 16 },
    { title: "Pool", max: 10 },
    { title: "State" },
    { title: "Seen", align: "right" },
    { title: "Device", max: 9 },
    // Ids and epochs matter to whoever compares hosts: they are whole in a pipe and in JSON.
    ...(page.width === undefined ? [{ title: "Session" }, { title: "Epoch", align: "right" } as const] : []),
  ] as const;
  const rows = sessions.map((session) => ({
    ...session,
    cells: [
      session.user,
      session.pool,
      session.code === undefined ? session.state : `${session.state} (${session.code})`,
      session.lastSeenMs === undefined
        ? "never"
        : `${duration(Math.max(0, page.nowMs - session.lastSeenMs))} ago`,
      session.device,
      session.session,
      String(session.epoch),
    ],
  }));
  const codes = new Set(
    sessions.flatMap(({ code }) => (code !== undefined && isFailureCode(code) ? [code] : [])),
  );
  const notes = [...codes].map((code) => {
    const { summary, hint } = failureEntry(code);
    return `${paragraph(`${code}: ${summary}.`, page.width)}\n${paragraph(hint, page.width, "  → ")}`;
  });
  const count = countLine(sessions.length, all, "session");
  return `${[addressTable(columns, rows, page.width), ...notes, count].join("\n\n")}\n`;
}
