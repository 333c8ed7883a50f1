import { type Result, success } from "../../protocol/failures.ts";
import type { AdminPort } from "../core/admin.ts";
import { type AuditEntry, pageLimits } from "../core/views.ts";
import type { AuditQuery } from "./endpoints/access.ts";

/** Entries looked at for one answer, at most: a filter that matches nothing must not read a long log whole. */
const scannedMax = 10 * pageLimits.max;

/**
 * One page of the audit log, newest first. With a filter the page may be short, even empty, before the log's end;
 * `next` is null only there.
 */
export async function readAudit(
  admin: Pick<AdminPort, "audit">,
  query: AuditQuery,
): Promise<Result<{ items: AuditEntry[]; next: string | null }>> {
  const items: AuditEntry[] = [];
  let before = query.before;
  const pageSize = isFiltered(query) ? pageLimits.max : query.limit;
  for (let scanned = 0; scanned < scannedMax; scanned += pageSize) {
    const page = await admin.audit({ before, limit: pageSize });
    if (!page.ok) return page;
    for (const entry of page.value) {
      before = entry.id;
      if (matches(entry, query)) items.push(entry);
      if (items.length === query.limit) return success({ items, next: String(before) });
    }
    if (page.value.length < pageSize) return success({ items, next: null });
  }
  return success({ items, next: before === undefined ? null : String(before) });
}

function isFiltered(query: AuditQuery): boolean {
  return query.actor !== undefined || query.action !== undefined || query.subject !== undefined;
}

function matches(entry: AuditEntry, query: AuditQuery): boolean {
  return (
    (query.actor === undefined || entry.actor === query.actor) &&
    (query.action === undefined || entry.action === query.action) &&
    (query.subject === undefined || entry.subject === query.subject)
  );
}
