import { table } from "../../../protocol/node/table.ts";
import { printable, timestamp } from "../../../protocol/node/text.ts";
import type { AuditEntry, TokenView } from "../../core/views.ts";

type Width = number | undefined;

export function tokenTable(
  tokens: readonly (TokenView & { lastUsedMs: number | null })[],
  width: Width,
): string {
  return table(
    [{ title: "Name" }, { title: "Created" }, { title: "Created By" }, { title: "Last Used" }],
    tokens.map(({ name, createdAtMs, createdBy, lastUsedMs }) => [
      name,
      timestamp(createdAtMs),
      createdBy,
      timestamp(lastUsedMs ?? undefined),
    ]),
    width,
  );
}

/** Oldest first, the newest nearest to the prompt. */
export function auditTable(newestFirst: readonly AuditEntry[], width: Width): string {
  if (newestFirst.length === 0) return "No entry.";
  return table(
    [{ title: "Time" }, { title: "Actor" }, { title: "Action" }, { title: "Subject" }],
    newestFirst
      .toReversed()
      .map(({ atMs, actor, action, subject }) => [timestamp(atMs), actor, action, subject]),
    width,
  );
}

/** One line, for following. */
export function auditLine({ atMs, actor, action, subject }: AuditEntry): string {
  return [timestamp(atMs), actor, action, subject].map(printable).join("  ");
}
