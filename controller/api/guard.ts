import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { Actor, AdminPort } from "../core/admin.ts";
import { tooMany } from "./errors.ts";
import type { ApiLimits } from "./limits.ts";

declare module "fastify" {
  interface FastifyRequest {
    /** Whose token the request carries; empty where none is asked for. */
    actor: string;
  }
}

type OnRequest = (request: FastifyRequest, reply: FastifyReply) => Promise<void>;

/**
 * Lets a request in that carries a valid admin token. Failed attempts have a limit of their own per address, far below
 * that of requests; a valid token is let in all the same, so that nobody can lock an administrator out.
 */
export function guard(
  app: FastifyInstance,
  admin: AdminPort,
  limits: ApiLimits,
  lastUsedMs: Map<Actor, number>,
): OnRequest {
  const countFailure = app.createRateLimit({
    max: limits.failedPerMinute,
    timeWindow: 60_000,
    keyGenerator: (request) => `failed ${request.ip}`,
  });
  return async (request, reply) => {
    const authenticated = await admin.authenticate(bearerToken(request.headers.authorization));
    if (authenticated.ok) {
      request.actor = authenticated.value;
      lastUsedMs.set(authenticated.value, Date.now());
      return;
    }
    const attempts = await countFailure(request);
    if (!attempts.isAllowed && attempts.isExceeded) {
      reply.header("retry-after", attempts.ttlInSeconds);
      throw tooMany(limits.failedPerMinute);
    }
    reply.header("www-authenticate", 'Bearer realm="connector-controller"');
    throw authenticated.failure;
  };
}

/** The token of `Authorization: Bearer …` (RFC 6750, 2.1), empty when there is none. Tokens in URLs are not read. */
function bearerToken(header: string | undefined): string {
  return /^Bearer +([\x21-\x7e]{1,512}) *$/i.exec(header ?? "")?.[1] ?? "";
}
