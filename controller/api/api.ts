import { createServer as createHttpServer, type Server } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import rateLimit from "@fastify/rate-limit";
import swagger from "@fastify/swagger";
import Fastify, { type FastifyInstance } from "fastify";
import { serializerCompiler } from "fastify-type-provider-zod";
import { Failure } from "../../protocol/failures.ts";
import type { Logger } from "../../protocol/node/log.ts";
import type { Actor, AdminPort } from "../core/admin.ts";
import { Connections } from "./connections.ts";
import { type EndpointName, endpointNames, endpointOf, type Received } from "./endpoints.ts";
import { answerErrors, answerFrameworkError, clientError, tooMany } from "./errors.ts";
import { guard } from "./guard.ts";
import { type Context, handlers } from "./handlers.ts";
import { addHealth, addMetrics } from "./health.ts";
import { type ApiLimits, apiLimits, connectionsWaitingMax } from "./limits.ts";
import { openapi, routeSchema } from "./openapi.ts";
import { validatorCompiler } from "./validation.ts";

export interface ApiOptions {
  readonly admin: AdminPort;
  readonly log: Logger;
  readonly version: string;
  /** PEM. Without it the server speaks plain HTTP: for loopback only, which the caller decides. */
  readonly tls?: { readonly cert: string; readonly key: string } | undefined;
  readonly limits?: Partial<ApiLimits> | undefined;
}

export interface Api extends AsyncDisposable {
  /** For upgrades: the links of agents and devices arrive at the same port. */
  readonly server: Server;
  /** Resolves with the port, or throws `admin.listen`. */
  listen(host: string, port: number): Promise<number>;
  /** The OpenAPI 3.1 text of this API as an object. */
  readonly openapi: object;
}

/** The admin API: authentication, limits and shapes here; every decision is the controller's. */
export async function createApi(options: ApiOptions): Promise<Api> {
  const limits = { ...apiLimits, ...options.limits };
  const app = Fastify({
    serverFactory: (handler) => makeServer(options, limits, handler),
    logger: false,
    bodyLimit: limits.bodyBytesMax,
    clientErrorHandler: clientError,
    frameworkErrors: answerFrameworkError,
    // A name has 63 characters, each at most 12 when percent-encoded.
    routerOptions: { maxParamLength: 1024 },
  });
  const connections = new Connections(app.server);
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  app.removeContentTypeParser("text/plain");
  app.decorateRequest("actor", "");
  app.addHook("onRequest", async (_, reply) => {
    reply.headers(options.tls === undefined ? headers : { ...headers, ...headersOverTls });
  });
  await app.register(rateLimit, {
    max: limits.requestsPerMinute,
    timeWindow: 60_000,
    errorResponseBuilder: () => tooMany(limits.requestsPerMinute),
  });
  answerErrors(app, options.log);
  await app.register(swagger, openapi(options.version));
  addHealth(app, options.admin);
  // BOUNDED: one per admin token that was ever valid.
  const lastUsedMs = new Map<Actor, number>();
  await app.register(async (guarded) => {
    guarded.addHook("onRequest", guard(app, options.admin, limits, lastUsedMs));
    addMetrics(guarded, options.admin);
    const basis = { admin: options.admin, lastUsedMs };
    for (const name of endpointNames) addRoute(guarded, name, basis, limits.requestMs);
  });
  await app.ready();
  return {
    server: app.server,
    openapi: app.swagger(),
    listen: async (host, port) => {
      await app
        .listen({ host, port, backlog: connectionsWaitingMax })
        .catch((error: NodeJS.ErrnoException) => {
          throw new Failure("admin.listen", { host, port, problem: error.code ?? error.message }, error);
        });
      const address = app.server.address();
      return typeof address === "object" && address !== null ? address.port : port;
    },
    [Symbol.asyncDispose]: async () => {
      using _ = connections.cutAfter(answerWithinMs);
      await app.close();
    },
  };
}

/** Who has asked before the end gets an answer within so long: as the links, which are told of the end, have a second. */
const answerWithinMs = 1_000;

const headers = {
  "cache-control": "no-store",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "x-content-type-options": "nosniff",
};
const headersOverTls = { "strict-transport-security": "max-age=31536000" };

function makeServer(
  { tls }: ApiOptions,
  limits: ApiLimits,
  handler: Parameters<typeof createHttpServer>[1],
): Server {
  const timeouts = {
    requestTimeout: limits.requestMs,
    headersTimeout: limits.requestMs,
    keepAliveTimeout: 65_000,
  };
  if (tls === undefined) return createHttpServer(timeouts, handler);
  return createHttpsServer({ ...timeouts, cert: tls.cert, key: tls.key, minVersion: "TLSv1.2" }, handler);
}

function addRoute<Name extends EndpointName>(
  app: FastifyInstance,
  name: Name,
  basis: Omit<Context, "actor">,
  withinMs: number,
): void {
  const endpoint = endpointOf(name);
  app.route({
    method: endpoint.method,
    url: endpoint.path,
    schema: routeSchema(name),
    handler: async ({ actor, params, query, body }, reply) => {
      // The validator has put the parsed values of exactly this endpoint's schemas in place.
      const received = { params, query, body } as unknown as Received<Name>;
      const result = await within(withinMs, handlers[name]({ ...basis, actor }, received));
      if (!result.ok) throw result.failure;
      return reply.code(endpoint.status).send(result.value);
    },
  });
}

/** Fastify's own `handlerTimeout` ends with the request's body, which is before the handler starts. */
async function within<T>(ms: number, work: T | Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Failure("admin.timeout")), ms);
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
