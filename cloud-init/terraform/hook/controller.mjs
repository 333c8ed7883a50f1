// The admin API, as far as the hook needs it.
import { request } from "node:https";

/** What a controller answers to one request is a few KB, a list of 64 instances a few hundred. */
const answerBytesMax = 8 * 1024 * 1024;
const withinMs = 10_000;

export class Controller {
  #url;
  #token;
  #ca;

  /** `ca`: PEM of the only CAs to trust; undefined: the system's. */
  constructor(url, token, ca) {
    this.#url = url;
    this.#token = token;
    this.#ca = ca;
  }

  /** The connector's instance on this EC2 instance; undefined while none has enrolled. */
  async find(connector, ec2InstanceId) {
    const { items } = await this.#ask("GET", `/v1/instances?connector=${encodeURIComponent(connector)}`);
    return items.find(({ providerInstanceId }) => providerInstanceId === ec2InstanceId);
  }

  createOtp(connector, lifeMinutes) {
    return this.#ask("POST", `/v1/connectors/${encodeURIComponent(connector)}/otps`, { lifeMinutes });
  }

  revokeOtp(id) {
    return this.#ask("DELETE", `/v1/otps/${id}`);
  }

  setPools(name, pools) {
    return this.#ask("PUT", `/v1/instances/${encodeURIComponent(name)}/pools`, pools);
  }

  removeInstance(name) {
    return this.#ask("DELETE", `/v1/instances/${encodeURIComponent(name)}`);
  }

  #ask(method, path, body) {
    const { promise, resolve, reject } = Promise.withResolvers();
    const text = body === undefined ? undefined : JSON.stringify(body);
    const headers = {
      authorization: `Bearer ${this.#token}`,
      ...(text === undefined ? {} : { "content-type": "application/json" }),
    };
    const signal = AbortSignal.timeout(withinMs);
    const options = { method, headers, signal, ...(this.#ca === undefined ? {} : { ca: this.#ca }) };
    const outgoing = request(new URL(path, this.#url), options, async (answer) => {
      try {
        resolve(resultOf(answer.statusCode, await textOf(answer)));
      } catch (error) {
        reject(error);
      }
    });
    outgoing.on("error", reject);
    outgoing.end(text);
    return promise;
  }
}

/** A refusal has a code, a sentence and what to do. */
function resultOf(status, text) {
  let answer;
  try {
    answer = JSON.parse(text);
  } catch {
    throw new Error(`the controller's address answers ${status} with something else than JSON`);
  }
  if (status >= 200 && status < 300) return answer;
  throw new Error(`the controller refuses: ${answer.message} [${answer.code}] ${answer.hint}`);
}

async function textOf(answer) {
  const chunks = [];
  let bytes = 0;
  for await (const chunk of answer) {
    bytes += chunk.length;
    if (bytes > answerBytesMax) throw new Error("the controller's answer is too long");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}
