import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Failure } from "../../protocol/failures.ts";
import type { Logger } from "../../protocol/node/log.ts";
import type { StatusView } from "../../protocol/view.ts";
import type { AgentViews } from "../core/ports.ts";
import type { Metrics } from "./metrics.ts";

const bounds = { connectionsMax: 32, requestMs: 5_000, idleMs: 10_000 } as const;

export interface HealthServer extends AsyncDisposable {
  /** Where it listens; undefined while it is off or its port is taken. */
  readonly port: number | undefined;
}

/**
 * `/livez`: the agent's loop turns. `/readyz`: 200 while the status is Active, else 503 with the reasons.
 * `/metrics`: Prometheus text. A port that cannot be opened is a warning and is tried again: metrics never stop traffic.
 */
export async function startHealthServer(options: {
  /** `127.0.0.1:9464`, `[::1]:9464` or `off`. */
  listen: string;
  views: AgentViews;
  metrics: Pick<Metrics, "text" | "contentType">;
  log: Logger;
  retryMs?: number;
}): Promise<HealthServer> {
  if (options.listen === "off") return { port: undefined, [Symbol.asyncDispose]: async () => {} };
  const { log, listen, retryMs = 30_000 } = options;
  const server = createServer({ requestTimeout: bounds.requestMs, headersTimeout: bounds.requestMs });
  server.maxConnections = bounds.connectionsMax;
  server.setTimeout(bounds.idleMs, (socket) => socket.destroy());
  server.on("request", (request, response) => {
    answer(request.method, request.url, response, options).catch((error: unknown) => {
      log.error({ err: error, route: request.url }, "a health request failed");
      response.headersSent ? response.destroy() : send(response, 500, "internal\n");
    });
  });
  server.on("clientError", (_error, socket) => socket.destroy());
  // A client that could not be accepted, as when the process is out of descriptors, ends nobody's service.
  server.on("error", (error) => {
    if (server.listening) log.warn({ err: error }, "the health server has trouble");
  });

  let retry: NodeJS.Timeout | undefined;
  const first = await open(server, listen);
  if (first === undefined) log.info({ listen }, "health and metrics are served");
  else {
    log.warn({ code: first.code, listen, retryMs, hint: first.hint }, first.message);
    retry = setInterval(async () => {
      if ((await open(server, listen)) !== undefined) return;
      clearInterval(retry);
      log.info({ listen }, "health and metrics are served");
    }, retryMs).unref();
  }
  return {
    get port() {
      return (server.address() as AddressInfo | null)?.port;
    },
    [Symbol.asyncDispose]: () => {
      clearInterval(retry);
      return close(server);
    },
  };
}

/** What `/readyz` says: one line for the status, one for each condition a person should look at. */
export function readiness(status: StatusView): { ready: boolean; text: string } {
  if (status.status === "Active") return { ready: true, text: "ready: Active\n" };
  const drain = status.drain.length === 0 ? "" : ` (${status.drain.join(", ")})`;
  const reasons = status.conditions
    .filter(({ severity }) => severity !== "info")
    .map(({ code, text }) => `${code}: ${text}\n`);
  return { ready: false, text: `not ready: ${status.status}${drain}\n${reasons.join("")}` };
}

async function answer(
  method: string | undefined,
  url: string | undefined,
  response: ServerResponse,
  { views, metrics }: { views: AgentViews; metrics: Pick<Metrics, "text" | "contentType"> },
): Promise<void> {
  const path = url?.split("?", 1)[0];
  if (path !== "/livez" && path !== "/readyz" && path !== "/metrics") {
    return send(response, 404, "not found: /livez, /readyz and /metrics are here\n");
  }
  if (method !== "GET" && method !== "HEAD") {
    response.setHeader("allow", "GET, HEAD");
    return send(response, 405, "only GET and HEAD\n");
  }
  switch (path) {
    case "/livez":
      return send(response, 200, "alive\n");
    case "/readyz": {
      const { ready, text } = readiness(views.status());
      return send(response, ready ? 200 : 503, text);
    }
    case "/metrics":
      return send(response, 200, await metrics.text(views), metrics.contentType);
  }
}

function send(response: ServerResponse, status: number, text: string, type = "text/plain; charset=utf-8") {
  response.writeHead(status, {
    "content-type": type,
    "content-length": Buffer.byteLength(text),
    "cache-control": "no-store",
    connection: "close",
  });
  response.end(text);
}

/** Listens, or tells why not. */
function open(server: Server, listen: string): Promise<Failure | undefined> {
  const { promise, resolve } = Promise.withResolvers<Failure | undefined>();
  const colon = listen.lastIndexOf(":");
  const host = listen.slice(0, colon).replace(/^\[|\]$/g, "");
  const onError = (error: NodeJS.ErrnoException) => {
    server.off("listening", onListening);
    resolve(new Failure("health.unusable", { listen, error: error.code ?? error.message }, error));
  };
  const onListening = () => {
    server.off("error", onError);
    resolve(undefined);
  };
  server.once("error", onError);
  server.once("listening", onListening);
  server.listen(Number(listen.slice(colon + 1)), host);
  return promise;
}

function close(server: Server): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  if (!server.listening) return Promise.resolve();
  server.close(() => resolve());
  server.closeAllConnections();
  return promise;
}
