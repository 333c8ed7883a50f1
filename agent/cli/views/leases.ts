import { duration, exitCodes } from "../../../protocol/node/text.ts";
import type { LeaseView } from "../../../protocol/view.ts";
import type { Page, Report } from "../page.ts";
import { addressTable, byAddress } from "./addresses.ts";

export interface Filter {
  readonly pool?: string | undefined;
  /** The beginning of the device's id. */
  readonly device?: string | undefined;
  readonly user?: string | undefined;
  readonly state?: string | undefined;
}

/** Who holds which address, and for how long. */
export function leasesReport(leases: readonly LeaseView[], filter: Filter): Report {
  const shown = leases
    .filter((lease) => matches({ ...lease, state: stateOf(lease) }, filter))
    .toSorted(byAddress);
  return { json: shown, exitCode: exitCodes.fine, text: (page) => leasesText(shown, leases.length, page) };
}

export function matches(
  row: { pool: string; device: string; user?: string | undefined; state: string },
  filter: Filter,
): boolean {
  return (
    (filter.pool === undefined || row.pool === filter.pool) &&
    (filter.device === undefined || row.device.startsWith(filter.device.toLowerCase())) &&
    (filter.user === undefined || row.user === filter.user) &&
    (filter.state === undefined || row.state === filter.state)
  );
}

/** `3 of 40 leases`, or `40 leases`. */
export function countLine(shown: number, all: number, noun: string): string {
  const nouns = `${noun}${all === 1 ? "" : "s"}`;
  return shown === all ? `${all} ${nouns}` : `${shown} of ${all} ${nouns}`;
}

function leasesText(leases: readonly LeaseView[], all: number, page: Page): string {
  if (leases.length === 0) return all === 0 ? "No leases.\n" : `None of ${all} leases matches.\n`;
  const rows = leases.map((lease) => ({
    ...lease,
    state: stateOf(lease),
    time: duration(Math.max(0, lease.untilMs - page.nowMs)),
  }));
  return `${addressTable("Ends", rows, page.width)}\n\n${countLine(leases.length, all, "lease")}\n`;
}

/** `away`: leased, but no session uses it now. */
function stateOf({ state, session }: LeaseView): string {
  return state === "leased" && session === undefined ? "away" : state;
}
