import { failureEntry, isFailureCode } from "../../../protocol/failures.ts";
import { byteSize, duration, exitCodes } from "../../../protocol/node/text.ts";
import type { SessionView } from "../../../protocol/view.ts";
import { type Page, paragraph, type Report } from "../page.ts";
import { addressTable, byAddress, type TrafficCells } from "./addresses.ts";
import { countLine, type Filter, matches } from "./leases.ts";

/** WireGuard's REJECT_AFTER_TIME: a device that was not heard for so long has no key to be heard with. */
const activeForMs = 180_000;

/** Who is served here, what passed, and why somebody is not. */
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
  const rows = sessions.map((session) => ({
    ...session,
    traffic: trafficOf(session, page),
    time: ago(session.lastSeenMs, page),
  }));
  const codes = new Set(
    sessions.flatMap(({ code }) => (code !== undefined && isFailureCode(code) ? [code] : [])),
  );
  const notes = [...codes].map((code) => {
    const { summary, hint } = failureEntry(code);
    return `${paragraph(`${code}: ${summary}.`, page.width)}\n${paragraph(hint, page.width, "  → ")}`;
  });
  const active = sessions.filter((session) => isActive(session, page)).length;
  const count = `${countLine(sessions.length, all, "session")}, ${active} active`;
  return `${[addressTable("Seen", rows, page.width), ...notes, count].join("\n\n")}\n`;
}

function isActive({ lastSeenMs, handshakeMs }: SessionView, { nowMs }: Page): boolean {
  return Math.max(lastSeenMs ?? 0, handshakeMs ?? 0) > nowMs - activeForMs;
}

/** Undefined while the data path has told nothing of the session. */
function trafficOf(
  { rxBytes, txBytes, handshakeMs, endpoint = "-" }: SessionView,
  page: Page,
): TrafficCells | undefined {
  if (rxBytes === undefined || txBytes === undefined) return undefined;
  return { rx: byteSize(rxBytes), tx: byteSize(txBytes), handshake: ago(handshakeMs, page), endpoint };
}

function ago(atMs: number | undefined, { nowMs }: Page): string {
  return atMs === undefined ? "never" : `${duration(Math.max(0, nowMs - atMs))} ago`;
}
