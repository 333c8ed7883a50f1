import { createApi } from "../../controller/api/api.ts";
import type { ApiLimits } from "../../controller/api/limits.ts";
import type { AdminPort } from "../../controller/core/admin.ts";
import type { AuditEntry } from "../../controller/core/views.ts";
import { noTotals } from "../../controller/core/world.ts";
import { createAuthority, loopbackNames } from "../../lab/certificates.ts";
import { failed, type Result, success } from "../../protocol/failures.ts";
import { createLogger } from "../../protocol/node/log.ts";
import type { Http } from "./http.ts";

export const goodToken = "good-token";

/** An empty controller that a test makes misbehave where it wants. */
export function fakeAdmin(changes: Partial<AdminPort> = {}): AdminPort {
  const none = () => [];
  const nothing = () => undefined;
  return {
    command: async () => failed("admin.conflict", { problem: "the fake does nothing" }),
    authenticate: async (token): Promise<Result<string>> =>
      token === goodToken ? success("token:test") : failed("admin.unauthorised"),
    views: {
      connectors: none,
      connector: nothing,
      restart: nothing,
      groups: none,
      instances: none,
      instance: nothing,
      otps: none,
      deviceCodes: none,
      devices: none,
      device: nothing,
      sessions: none,
      session: nothing,
      tokens: none,
    },
    audit: async () => success([]),
    notReady: () => undefined,
    metricsFacts: () => ({
      links: { agents: 3, devices: 10, strangers: 1 },
      instances: { Configured: 0, Offline: 0, Online: 1, Active: 2, Draining: 0 },
      sessions: { waiting: 0, placed: 0, attached: 10, leaving: 1 },
      waiting: [{ group: "Sales", code: "placement.no-address", sessions: 2 }],
      connectors: 1,
      devices: 10,
      queued: 0,
      totals: {
        placements: 12,
        moved: { ...noTotals().moved, drain: 3, "link-lost": 2 },
        enrolments: 3,
        joins: 10,
        commands: 7,
        unknownMessages: 0,
        storeFailures: 0,
        refused: { "otp.used": 2 },
      },
    }),
    ...changes,
  };
}

/** A log of that many entries, newest first, as the port has it. */
export function fakeAudit(count: number): AdminPort["audit"] {
  const entry = (id: number): AuditEntry => ({
    id,
    atMs: id,
    actor: id % 2 === 0 ? "token:even" : "local",
    action: id === 1 ? "connector.create" : "group.create",
    subject: `group/${id}`,
    before: null,
    after: { id },
  });
  return async ({ before = count + 1, limit = 100 } = {}) => {
    const newest = Math.min(before - 1, count);
    return success(Array.from({ length: Math.min(limit, newest) }, (_, i) => entry(newest - i)));
  };
}

/** The real API over TLS, before a fake controller. */
export async function serveFake(
  changes: Partial<AdminPort> = {},
  limits: Partial<ApiLimits> = {},
): Promise<Http & AsyncDisposable> {
  const authority = await createAuthority();
  const { certificatePem, privateKeyPem } = await authority.issueServer(loopbackNames);
  const api = await createApi({
    admin: fakeAdmin(changes),
    log: createLogger({ name: "test", level: "silent" }),
    version: "1.2.3",
    tls: { cert: certificatePem, key: privateKeyPem },
    limits,
  });
  const port = await api.listen("127.0.0.1", 0);
  return {
    url: `https://127.0.0.1:${port}`,
    ca: authority.certificatePem,
    token: goodToken,
    [Symbol.asyncDispose]: () => api[Symbol.asyncDispose](),
  };
}
