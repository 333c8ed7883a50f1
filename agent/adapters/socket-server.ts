import { chmodSync, lstatSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { connect } from "node:net";
import { Failure, type FailureCode, failureEntry, failureText } from "../../protocol/failures.ts";
import type { Logger } from "../../protocol/node/log.ts";
import {
  type Action,
  type AgentActions,
  type ApiError,
  actions as actionNames,
  type DrainOptions,
  pathOf,
  type Read,
  readDrainQuery,
  reads,
  serverName,
} from "../core/local-api.ts";
import type { AgentViews } from "../core/ports.ts";

const bounds = {
  /** Clients at once; the next ones are cut. A handful of people and scripts look at one instance. */
  connectionsMax: 32,
  /** No request has a body that means something. */
  bodyBytesMax: 1024,
  /** A request has arrived whole after this time, ms. */
  requestMs: 5_000,
  /** A client that neither sends nor reads for this long is cut, and its answer freed, ms. */
  idleMs: 10_000,
} as const;

/**
 * Serves the views and takes the actions on a Unix socket, readable and writable for its owner and group only.
 * A socket file that nobody answers on (a killed agent's) is replaced; on a live one it fails with `socket.in-use`.
 * Call it while holding the state directory's lock, so that two starting agents do not replace each other's file.
 */
export async function startSocketServer(options: {
  path: string;
  views: AgentViews;
  actions: AgentActions;
  log: Logger;
}): Promise<AsyncDisposable> {
  const { path, log } = options;
  await makeWay(path);
  const server = createServer({ requestTimeout: bounds.requestMs, headersTimeout: bounds.requestMs });
  server.maxConnections = bounds.connectionsMax;
  server.setTimeout(bounds.idleMs, (socket) => socket.destroy());
  server.on("request", (request, response) => {
    answer(request, response, options).catch((error: unknown) => {
      // It went away before it had said all.
      if (!request.complete) return void response.destroy();
      log.error({ err: error, route: request.url }, "a request on the socket failed");
      response.headersSent ? response.destroy() : refuse(response, 500, "internal");
    });
  });
  server.on("clientError", (_error, socket) => socket.destroy());
  server.on("drop", () => log.warn({ limit: bounds.connectionsMax }, "too many clients on the socket"));
  await listen(server, path);
  // A client that could not be accepted, as when the process is out of descriptors, ends nobody's service.
  server.on("error", (error) => log.warn({ err: error }, "the socket has trouble"));
  chmodSync(path, 0o660);
  log.info({ path }, "the socket is open");
  return { [Symbol.asyncDispose]: () => close(server) };
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  { views, actions, log }: { views: AgentViews; actions: AgentActions; log: Logger },
): Promise<void> {
  const [path, query = ""] = request.url?.split("?", 2) ?? [];
  const read = reads.find((name) => pathOf(name) === path);
  const action = actionNames.find((name) => pathOf(name) === path);
  const method = read === undefined ? "POST" : "GET";
  if (read === undefined && action === undefined) return refuse(response, 404, "admin.not-found");
  if (request.method !== method) {
    return refuse(response, 405, "admin.invalid", { allow: method });
  }
  if (!(await emptied(request))) return refuse(response, 413, "protocol.too-large");
  if (read !== undefined) send(response, 200, readView(views, read));
  if (action !== undefined) {
    const options = readDrainQuery(query);
    if (options === undefined) return refuse(response, 400, "admin.invalid");
    log.info({ action, ...options }, "asked on the socket");
    send(response, 200, await act(actions, action, options));
  }
}

function readView(views: AgentViews, read: Read): unknown {
  switch (read) {
    case "status":
      return views.status();
    case "pools":
      return views.pools();
    case "leases":
      return views.leases();
    case "sessions":
      return views.sessions();
    case "prefixes":
      return views.prefixes();
  }
}

function act(actions: AgentActions, action: Action, options: DrainOptions): Promise<unknown> {
  switch (action) {
    case "drain":
      return actions.drain(options);
    case "leave":
      return actions.leave(options);
    case "resume":
      return actions.resume();
    case "verify":
      return actions.verify();
  }
}

/** Reads a body away, up to the limit; false when it was longer. */
async function emptied(request: IncomingMessage): Promise<boolean> {
  let bytes = 0;
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    bytes += (chunk as Buffer).length;
    if (bytes > bounds.bodyBytesMax) return false;
  }
  return true;
}

function refuse(
  response: ServerResponse,
  status: number,
  code: FailureCode,
  headers: Record<string, string> = {},
): void {
  const error: ApiError = { code, text: failureText(code), hint: failureEntry(code).hint };
  send(response, status, error, headers);
}

/** One request a connection: an idle client holds nothing. */
function send(response: ServerResponse, status: number, body: unknown, headers = {}): void {
  const text = JSON.stringify(body);
  response.writeHead(status, {
    ...headers,
    "content-type": "application/json",
    "content-length": Buffer.byteLength(text),
    "cache-control": "no-store",
    connection: "close",
    server: serverName,
  });
  response.end(text);
}

/** Removes a socket file whose process is gone. Anything else in the way is somebody's, and stays. */
async function makeWay(path: string): Promise<void> {
  const there = lstatSync(path, { throwIfNoEntry: false });
  if (there === undefined) return;
  if (!there.isSocket()) throw new Failure("socket.unusable", { path, found: "a file that is no socket" });
  if (await somebodyAnswers(path)) throw new Failure("socket.in-use", { path });
  rmSync(path, { force: true });
}

function somebodyAnswers(path: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect(path);
  socket.on("connect", () => resolve(true));
  // Refused means that no process listens; a full queue (EAGAIN) or a wrong owner (EACCES) means that one does.
  socket.on("error", (error: NodeJS.ErrnoException) => resolve(error.code !== "ECONNREFUSED"));
  return promise.finally(() => socket.destroy());
}

function listen(server: Server, path: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const onError = (error: NodeJS.ErrnoException) => {
    const code = error.code === "EADDRINUSE" ? "socket.in-use" : "socket.unusable";
    reject(new Failure(code, { path, error: error.code ?? error.message }, error));
  };
  server.once("error", onError);
  server.listen(path, () => {
    server.off("error", onError);
    resolve();
  });
  return promise;
}

function close(server: Server): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  server.close(() => resolve());
  server.closeAllConnections();
  return promise;
}
