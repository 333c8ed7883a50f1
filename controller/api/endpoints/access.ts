import { z } from "zod";
import { EpochMs, Name } from "../../../protocol/names.ts";
import { AuditEntry, TokenCreated, TokenView } from "../../core/views.ts";
import { type Endpoint, limit, listOf } from "./endpoint.ts";

export const AuditQuery = z.strictObject({
  /** Entries older than this one. */
  before: z.coerce.number().int().positive().optional(),
  limit,
  actor: z.string().min(1).max(128).optional(),
  action: z.string().min(1).max(64).optional(),
  subject: z.string().min(1).max(256).optional(),
});
export type AuditQuery = z.infer<typeof AuditQuery>;

/** A token, and when it was last used since this controller started; null: not since. */
const TokenInUse = TokenView.extend({ lastUsedMs: EpochMs.nullable() });

const token = z.strictObject({ token: Name });

export const accessEndpoints = {
  "audit.list": {
    method: "GET",
    path: "/v1/audit",
    tag: "Audit log",
    summary:
      "Read the audit log, newest first. A filtered page may be short; `next` tells whether there is more",
    query: AuditQuery,
    status: 200,
    answer: listOf(AuditEntry),
  },
  "token.list": {
    method: "GET",
    path: "/v1/tokens",
    tag: "Admin tokens",
    summary: "List the admin tokens; never the secrets",
    status: 200,
    answer: listOf(TokenInUse),
  },
  "token.create": {
    method: "POST",
    path: "/v1/tokens",
    tag: "Admin tokens",
    summary: "Create an admin token; this answer alone holds the secret",
    body: z.strictObject({ name: Name }),
    status: 201,
    answer: TokenCreated,
  },
  "token.revoke": {
    method: "DELETE",
    path: "/v1/tokens/:token",
    tag: "Admin tokens",
    summary: "Revoke an admin token",
    params: token,
    status: 200,
    answer: TokenView,
  },
} as const satisfies Record<string, Endpoint>;
