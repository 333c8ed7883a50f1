import { request } from "node:https";

/** A bare HTTPS client, so that a test says exactly what goes over the wire. */
export interface Http {
  readonly url: string;
  readonly ca: string;
  readonly token: string;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
  /** biome-ignore lint/suspicious/noExplicitAny: what came is what the test asserts about. */
  readonly json: any;
}

export interface Sent {
  /** An object is sent as JSON, a text as it is. */
  readonly body?: unknown;
  /** `null`: no token. */
  readonly token?: string | null;
  readonly headers?: Readonly<Record<string, string>>;
}

export async function send(http: Http, method: string, path: string, sent: Sent = {}): Promise<HttpAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<HttpAnswer>();
  const body =
    sent.body === undefined || typeof sent.body === "string" ? sent.body : JSON.stringify(sent.body);
  const token = sent.token === undefined ? http.token : sent.token;
  const headers = {
    ...(token === null ? {} : { authorization: `Bearer ${token}` }),
    ...(body === undefined ? {} : { "content-type": "application/json" }),
    ...sent.headers,
  };
  const outgoing = request(
    new URL(path, http.url),
    { method, headers, ca: http.ca, agent: false },
    (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () => {
        const text = Buffer.concat(chunks).toString();
        const isJson =
          response.headers["content-type"]?.startsWith("application/json") === true && text !== "";
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          text,
          json: isJson ? JSON.parse(text) : undefined,
        });
      });
    },
  );
  outgoing.on("error", reject);
  outgoing.end(body);
  return await promise;
}
