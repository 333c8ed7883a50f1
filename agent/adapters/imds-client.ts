import type { MetadataService } from "@aws-sdk/ec2-metadata-service";
import { Failure, failed, type Result, success } from "../../protocol/failures.ts";
import { runningTimeFactorMax } from "../../protocol/node/running-time.ts";
import type { Clock } from "../../protocol/time.ts";
import { askWithin, TooLate, TooLong } from "./imds-request.ts";

/**
 * One request at a time to IMDSv2 through AWS's client, with what that lacks: a token that is kept and renewed in
 * time, time-outs that always fire, and answers that are looked at before they are believed.
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
 */
export class ImdsClient {
  readonly #endpoint: string;
  readonly #clock: Clock;
  #service: Promise<MetadataService> | undefined;
  #token: { readonly text: string; readonly renewAtMs: number } | undefined;
  #renewal: Promise<Result<string>> | undefined;

  constructor(options: { endpoint: string; clock: Clock }) {
    this.#endpoint = options.endpoint;
    this.#clock = options.clock;
  }

  /**
   * The text of a key, or undefined where there is no such key (404). `path` begins with `latest/`.
   * Fails with `imds.unreachable`, `.disabled`, `.failing` or `.malformed`.
   */
  async get(path: string): Promise<Result<string | undefined>> {
    const first = await this.#getOnce(path);
    if (first.ok || statusOf(first.failure.cause) !== 401) return first;
    // The token ended before its time, as after an instance was resumed from hibernation: once more with a new one.
    this.#token = undefined;
    return this.#getOnce(path);
  }

  async #getOnce(path: string): Promise<Result<string | undefined>> {
    const token = await this.#validToken();
    if (!token.ok) return token;
    const answer = await this.#request(path, "GET", { "x-aws-ec2-metadata-token": token.value });
    if (answer.ok) return answer;
    return statusOf(answer.failure.cause) === 404 ? success(undefined) : answer;
  }

  async #validToken(): Promise<Result<string>> {
    if (this.#token !== undefined && this.#clock().monotonicMs < this.#token.renewAtMs) {
      return success(this.#token.text);
    }
    this.#renewal ??= this.#fetchToken().finally(() => {
      this.#renewal = undefined;
    });
    return this.#renewal;
  }

  async #fetchToken(): Promise<Result<string>> {
    const askedAtMs = this.#clock().monotonicMs;
    const ttl = { "x-aws-ec2-metadata-token-ttl-seconds": String(tokenSeconds) };
    const answer = await this.#request("latest/api/token", "PUT", ttl);
    if (!answer.ok) return answer;
    // It goes into a header: anything but the characters of a token would be another's answer.
    if (!/^[A-Za-z0-9+/=_-]{8,512}$/.test(answer.value)) {
      return failed("imds.malformed", { path: "latest/api/token", answer: "not a token" });
    }
    this.#token = { text: answer.value, renewAtMs: askedAtMs + tokenSeconds * 1000 * renewAfter };
    return success(answer.value);
  }

  async #request(
    path: string,
    method: "GET" | "PUT",
    headers: Record<string, string>,
  ): Promise<Result<string>> {
    try {
      this.#service ??= makeService(this.#endpoint).catch((error: unknown) => {
        // Out of descriptors, for one: the next request loads it again.
        this.#service = undefined;
        throw error;
      });
      const service = await this.#service;
      const body = await askWithin(limits, () => service.request(path, { method, headers }));
      if (body.length > bodyCharsMax) {
        return failed("imds.malformed", { path, answer: `${body.length} characters` });
      }
      if (/^\s*<(!doctype|html|\?xml)/i.test(body))
        return failed("imds.malformed", { path, answer: "a web page" });
      return success(body);
    } catch (error) {
      return { ok: false, failure: failureOf(error, path, method) };
    }
  }
}

/** The longest a token may live; it is renewed well before. */
const tokenSeconds = 21_600;
const renewAfter = 0.8;
/** Nothing is further away than the hypervisor. */
const times = { firstByteMs: 1_000, wholeMs: 2_000 } as const;
/** User-data, the longest value there is, has 16 KB; the keys read here have a few hundred bytes. */
const bodyCharsMax = 65_536;
const limits = { ...times, bytes: bodyCharsMax } as const;

/** Loaded when first needed: the client weighs 18 MB. */
async function makeService(endpoint: string): Promise<MetadataService> {
  const { MetadataService } = await import("@aws-sdk/ec2-metadata-service");
  return new MetadataService({
    endpoint,
    // The client would turn tokens off for good after one 403, 404 or 405, and fetch a new one for each request.
    disableFetchToken: true,
    ec2MetadataV1Disabled: false,
    retries: 0,
    // Its own would go by the clock.
    httpOptions: { timeout: times.wholeMs * runningTimeFactorMax },
  });
}

function failureOf(error: unknown, path: string, method: string): Failure {
  if (error instanceof TooLong) return new Failure("imds.malformed", { path, answer: "too long" });
  const status = statusOf(error);
  if (status === undefined) return new Failure("imds.unreachable", { path, error: reasonOf(error) }, error);
  if (status === 403) return new Failure("imds.disabled", { path, status }, error);
  // Every IMDS that is one issues tokens.
  const isNoImds = method === "PUT" && (status === 404 || status === 405);
  return new Failure(isNoImds ? "imds.malformed" : "imds.failing", { path, status }, error);
}

/** The client puts every reason into a sentence; of that, what there is to know. */
function reasonOf(error: unknown): string {
  if (error instanceof TooLate) return error.message;
  const text = error instanceof Error ? error.message : "";
  return /\bE[A-Z_]{3,}\b/.exec(text)?.[0] ?? (text.slice(-100) || "unknown");
}

function statusOf(error: unknown): number | undefined {
  return (error as { $metadata?: { httpStatusCode?: number } } | undefined)?.$metadata?.httpStatusCode;
}
