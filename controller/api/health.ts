import type { FastifyInstance } from "fastify";
import { z } from "zod";
import { Failure } from "../../protocol/failures.ts";
import type { AdminPort } from "../core/admin.ts";
import { Metrics } from "./metrics.ts";
import { ErrorBody, errorBody } from "./problem.ts";

const Healthy = z.object({ status: z.literal("ok") });
const describe = (summary: string) => ({ tags: ["Health"], summary, security: [] });

/** What asks for no token: whether the process lives, whether it can serve, and the description of the API. */
export function addHealth(app: FastifyInstance, admin: AdminPort): void {
  app.get(
    "/livez",
    { schema: { ...describe("The process answers"), operationId: "livez", response: { 200: Healthy } } },
    async () => ({ status: "ok" }),
  );
  const readySchema = {
    ...describe("Agents and devices can be served"),
    operationId: "readyz",
    response: { 200: Healthy, 503: ErrorBody },
  };
  app.get("/readyz", { schema: readySchema }, async (_, reply) => {
    const code = admin.notReady();
    return code === undefined ? { status: "ok" } : reply.code(503).send(errorBody(new Failure(code)));
  });
  app.get("/openapi.json", { schema: { hide: true } }, async () => app.swagger());
}

/** Metrics ask for a token from everywhere: behind a proxy on the same host, everybody comes from loopback. */
export function addMetrics(app: FastifyInstance, admin: AdminPort): void {
  const metrics = new Metrics();
  const schema = {
    tags: ["Health"],
    summary: "Prometheus metrics",
    operationId: "metrics",
    security: [{ adminToken: [] }],
    response: { 200: { content: { "text/plain": { schema: z.string() } } }, default: ErrorBody },
  };
  app.get("/metrics", { schema }, async (_, reply) => {
    return reply.type(metrics.contentType).send(await metrics.text(admin.metricsFacts()));
  });
}
