import { type ClientRequest, type IncomingMessage, request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import { Failure, failed, isFailureCode, type Result, success } from "../../protocol/failures.ts";
import { isTlsError, readAnswer } from "../../protocol/node/network.ts";
import { type Answer, type Asked, type EndpointName, endpointOf } from "../api/endpoints.ts";
import { ErrorBody, InvalidRequest } from "../api/problem.ts";
import { ManyProblems } from "../core/problem.ts";
import type { Connection } from "./connection.ts";

const bounds = { answerBytesMax: 64 * 1024 * 1024, answerMs: 35_000 } as const;

/** The controller, seen through its admin API. Nothing throws; answers are validated with the server's schemas. */
export class ControllerClient {
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** Fails with the controller's own code when it refused, else with `admin.unreachable`, `.untrusted` or `.foreign`. */
  async call<Name extends EndpointName>(name: Name, asked: Asked<Name>): Promise<Result<Answer<Name>>> {
    const { method, path, answer } = endpointOf(name);
    const parts = asked as { params?: Texts; query?: Texts; body?: unknown };
    const response = await this.#ask(method, pathWith(path, parts.params, parts.query), parts.body);
    if (!response.ok) return response;
    const parsed = answer.safeParse(response.value);
    if (parsed.success) return success(parsed.data as Answer<Name>);
    const field = parsed.error.issues[0]?.path.join(".") ?? "";
    return failed("admin.foreign", { answer: name, field }, parsed.error);
  }

  /** Undefined when the controller is ready; its reason otherwise. */
  async readiness(): Promise<Result<undefined>> {
    const response = await this.#ask("GET", "/readyz", undefined);
    return response.ok ? success(undefined) : response;
  }

  async #ask(method: string, path: string, body: unknown): Promise<Result<unknown>> {
    const { url } = this.#connection;
    try {
      const response = await this.#send(method, path, body === undefined ? undefined : JSON.stringify(body));
      const text = await readAnswer(response, bounds.answerBytesMax);
      const status = response.statusCode ?? 0;
      const json: unknown = JSON.parse(text);
      return status >= 200 && status < 300 ? success(json) : refusal(json, response);
    } catch (error) {
      const problem = (error as NodeJS.ErrnoException).code ?? (error as Error).name;
      return failed(codeOf(error, problem), { controller: url.origin, problem }, error);
    }
  }

  #send(method: string, path: string, body: string | undefined): Promise<IncomingMessage> {
    const { url, ca, token } = this.#connection;
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const secret = token.reveal();
    const options = {
      method,
      agent: false as const,
      signal: AbortSignal.timeout(bounds.answerMs),
      headers: {
        accept: "application/json",
        ...(secret === "" ? {} : { authorization: `Bearer ${secret}` }),
        ...(body === undefined
          ? {}
          : { "content-type": "application/json", "content-length": Buffer.byteLength(body) }),
      },
    };
    const target = new URL(path, url);
    const request: ClientRequest =
      url.protocol === "https:"
        ? requestHttps(target, { ...options, ...(ca === undefined ? {} : { ca }) })
        : requestHttp(target, options);
    request.on("response", resolve).on("error", reject).end(body);
    return promise;
  }
}

type Texts = Readonly<Record<string, unknown>>;

function pathWith(path: string, params: Texts = {}, query: Texts = {}): string {
  const filled = path.replace(/:(\w+)/g, (_, name: string) => encodeURIComponent(String(params[name])));
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value !== undefined) search.set(name, String(value));
  return search.size === 0 ? filled : `${filled}?${search}`;
}

/** The controller's failure as it said it, also one that a newer controller knows and we do not. */
function refusal(json: unknown, response: IncomingMessage): Result<never> {
  const body = ErrorBody.safeParse(json);
  if (!body.success) return failed("admin.foreign", { status: response.statusCode ?? 0 });
  const { code, message, facts, problems } = body.data;
  if (!isFailureCode(code)) return failed("admin.foreign", { code, message });
  if (problems !== undefined && code === "admin.invalid") {
    return { ok: false, failure: new InvalidRequest(problems) };
  }
  if (problems !== undefined) return { ok: false, failure: new ManyProblems(code, problems, facts) };
  const wait = response.headers["retry-after"];
  return {
    ok: false,
    failure: new Failure(code, wait === undefined ? facts : { ...facts, waitSeconds: wait }),
  };
}

function codeOf(error: unknown, problem: string) {
  if (error instanceof SyntaxError) return "admin.foreign" as const;
  return isTlsError(problem) ? ("admin.untrusted" as const) : ("admin.unreachable" as const);
}
