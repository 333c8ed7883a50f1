import { type IncomingMessage, request } from "node:http";
import { type Failure, failed, type Result, success } from "../../protocol/failures.ts";
import { readAnswer } from "../../protocol/node/network.ts";
import { afterRunning } from "../../protocol/node/running-time.ts";
import type { StatusView } from "../../protocol/view.ts";
import {
  type Action,
  type DrainOptions,
  drainQuery,
  pathOf,
  type Read,
  type Reads,
  serverName,
} from "../core/local-api.ts";

const bounds = {
  /** The views of 10,000 sessions are about 4 MB. */
  answerBytesMax: 64 * 1024 * 1024,
  readMs: 3_000,
  /** An action may wait for the metadata service. */
  actMs: 15_000,
} as const;

/** The agent, seen through its socket. Every failure has a `socket.*` code; nothing throws. */
export class AgentClient {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  async read<R extends Read>(route: R, withinMs: number = bounds.readMs): Promise<Result<Reads[R]>> {
    const answer = await this.#ask("GET", route, withinMs);
    if (!answer.ok) return answer;
    if (!looksLike(route, answer.value)) return this.#foreign(`${pathOf(route)} is not what it should be`);
    return success(answer.value as Reads[R]);
  }

  async act(action: Action, options: DrainOptions = {}): Promise<Result<StatusView>> {
    const answer = await this.#ask("POST", action, bounds.actMs, drainQuery(options));
    if (!answer.ok) return answer;
    if (!looksLike("status", answer.value)) return this.#foreign(`${action} answered something else`);
    return success(answer.value as StatusView);
  }

  async #ask(
    method: "GET" | "POST",
    route: Read | Action,
    withinMs: number,
    query = "",
  ): Promise<Result<unknown>> {
    const deadline = new AbortController();
    const stop = afterRunning(withinMs, () => deadline.abort());
    try {
      const response = await this.#send(method, `${pathOf(route)}${query}`, deadline.signal);
      if (!String(response.headers.server).startsWith(serverName)) {
        response.destroy();
        return this.#foreign("something else answers");
      }
      const body = await readAnswer(response, bounds.answerBytesMax);
      if (response.statusCode === 200) return success(JSON.parse(body));
      return this.#foreign(`${pathOf(route)} answered ${response.statusCode}`);
    } catch (error) {
      const { aborted } = deadline.signal;
      const fact = aborted ? { within: `${withinMs / 1000} s` } : {};
      return failed(aborted ? "socket.silent" : codeOf(error), { path: this.#path, ...fact }, error);
    } finally {
      stop();
    }
  }

  #send(method: string, path: string, signal: AbortSignal): Promise<IncomingMessage> {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    request({ socketPath: this.#path, path, method, agent: false, signal })
      .on("response", resolve)
      .on("error", reject)
      .end();
    return promise;
  }

  #foreign(found: string): { ok: false; failure: Failure } {
    return failed("socket.foreign", { path: this.#path, found });
  }
}

/** A light look at the shape: what the views are is settled by the path's version, not checked field by field. */
function looksLike(route: Read, value: unknown): boolean {
  if (route !== "status") return Array.isArray(value);
  return typeof value === "object" && value !== null && "status" in value && "conditions" in value;
}

function codeOf(error: unknown) {
  const code = (error as NodeJS.ErrnoException).code ?? "";
  if (code === "ENOENT" || code === "ENOTDIR" || code === "EINVAL") return "socket.missing";
  if (code === "EACCES" || code === "EPERM") return "socket.denied";
  if (code === "ECONNREFUSED") return "socket.refused";
  if (code === "ECONNRESET" || code === "EPIPE" || code === "EAGAIN") return "socket.silent";
  return "socket.foreign";
}
