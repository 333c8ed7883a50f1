import { STATUS_CODES } from "node:http";
import type { Socket } from "node:net";
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { Failure } from "../../protocol/failures.ts";
import type { Logger } from "../../protocol/node/log.ts";
import { endpointNames, endpointOf } from "./endpoints.ts";
import { errorBody, failureOf, statusOf } from "./problem.ts";

/** Makes every answer that is no success an `ErrorBody`. Only what is our own defect is logged, with its cause. */
export function answerErrors(app: FastifyInstance, log: Logger): void {
  app.setErrorHandler((error: FastifyError, request, reply) => {
    const failure = failureOf(error);
    const status = statusOf(failure.code);
    if (status === 500)
      log.error({ err: error, method: request.method, path: request.routeOptions.url }, "request failed");
    return reply.code(status).send(errorBody(failure));
  });
  app.setNotFoundHandler({ preHandler: app.rateLimit() }, (request, reply) => {
    const path = request.url.split("?", 1)[0] ?? "";
    const methods = methodsOf(path);
    if (methods.length > 0) reply.header("allow", methods.join(", "));
    const failure =
      methods.length > 0
        ? new Failure("admin.method", { method: request.method })
        : new Failure("admin.not-found", { path: path.slice(0, 128) });
    return reply.code(statusOf(failure.code)).send(errorBody(failure));
  });
}

/** Answers what fails before there is a route, as a path that is not percent-encoded. */
export function answerFrameworkError(error: FastifyError, _: FastifyRequest, reply: FastifyReply): void {
  const failure = failureOf(error);
  reply.code(statusOf(failure.code)).send(errorBody(failure));
}

export function tooMany(perMinute: number): Failure {
  return new Failure("admin.rate-limited", { perMinute });
}

/** Answers what is not HTTP, or stops in the middle of it, before there is a request to hand on. */
export function clientError(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === "ECONNRESET" || socket.destroyed) return;
  const isLate = error.code === "ERR_HTTP_REQUEST_TIMEOUT";
  const failure = isLate ? new Failure("admin.timeout") : new Failure("admin.invalid", { http: "malformed" });
  const status = isLate ? 408 : 400;
  const body = JSON.stringify(errorBody(failure));
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    "content-type: application/json; charset=utf-8",
    `content-length: ${Buffer.byteLength(body)}`,
    "connection: close",
  ];
  if (socket.writable) socket.write(`${head.join("\r\n")}\r\n\r\n${body}`);
  socket.destroySoon();
}

const healthPaths = ["/livez", "/readyz", "/metrics", "/openapi.json"];

function methodsOf(path: string): string[] {
  if (healthPaths.includes(path)) return ["GET", "HEAD"];
  const methods = patterns.filter(({ pattern }) => pattern.test(path)).map(({ method }) => method);
  return methods.includes("GET") ? [...methods, "HEAD"] : methods;
}

const patterns = endpointNames.map((name) => {
  const { method, path } = endpointOf(name);
  return { method, pattern: new RegExp(`^${path.replace(/:\w+/g, "[^/]+")}$`) };
});
