import { connect, type Socket } from "node:net";
import { getSystemErrorName } from "node:util";
import { failed, type Result, success } from "../../failures.ts";
import type { WireguardChange, WireguardReading } from "../../wireguard.ts";
import { isNoChange } from "../../wireguard.ts";
import { portTaken, type WireguardControl } from "./port.ts";
import { type Answer, AnswerReader, getRequest, setRequest } from "./uapi-text.ts";

/** Where wireguard-go and `wg` meet. The folder is not part of a network namespace: names are unique on a host. */
export function controlSocketOf(name: string): string {
  return `/var/run/wireguard/${name}.sock`;
}

/** 10,000 peers are set in less than a second. */
const answerWithinMs = 10_000;

/** Userspace WireGuard by its control socket; a connection for each request, so that an error leaves nothing behind. */
export class UapiControl implements WireguardControl {
  readonly #path: string;
  readonly #withinMs: number;

  constructor(path: string, withinMs = answerWithinMs) {
    this.#path = path;
    this.#withinMs = withinMs;
  }

  async apply(change: WireguardChange): Promise<Result<void>> {
    if (isNoChange(change)) return success(undefined);
    const command = `set on ${this.#path}`;
    let request: string;
    try {
      request = setRequest(change);
    } catch (error) {
      return failed("datapath.failing", { command, error: (error as Error).message }, error);
    }
    const answer = await this.#ask("set", request);
    return answer.ok ? success(undefined) : portTaken(answer, command, change);
  }

  async read(): Promise<Result<WireguardReading>> {
    const answer = await this.#ask("get", getRequest);
    return answer.ok ? success(answer.value.reading) : answer;
  }

  /** A connection that says nothing: it closes when the process behind the socket ends. Rejects when there is none. */
  watch(): Promise<Socket> {
    const { promise, resolve, reject } = Promise.withResolvers<Socket>();
    const socket = connect(this.#path);
    socket.once("error", reject);
    socket.once("connect", () => {
      socket.off("error", reject);
      // What follows is told by `close`.
      socket.on("error", () => undefined);
      resolve(socket);
    });
    return promise;
  }

  #ask(operation: "get" | "set", request: string): Promise<Result<Answer>> {
    const { promise, resolve } = Promise.withResolvers<Result<Answer>>();
    const command = `${operation} on ${this.#path}`;
    const reader = new AnswerReader();
    const socket = connect(this.#path);
    const end = (result: Result<Answer>) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(result);
    };
    const fail = (error: string, cause?: unknown) =>
      end(failed("datapath.failing", { command, error }, cause));
    const timer = setTimeout(() => fail(`no answer within ${this.#withinMs} ms`), this.#withinMs);
    socket.setEncoding("latin1");
    socket.on("connect", () => socket.write(request));
    socket.on("data", (text: string) => {
      try {
        const answer = reader.push(text);
        if (answer === undefined) return;
        if (answer.errno === 0) end(success(answer));
        else fail(errorName(answer.errno));
      } catch (error) {
        fail((error as Error).message, error);
      }
    });
    socket.on("error", (error: NodeJS.ErrnoException) => fail(error.code ?? error.message, error));
    socket.on("close", () => fail("closed before the answer was whole"));
    return promise;
  }
}

function errorName(errno: number): string {
  try {
    return getSystemErrorName(-errno);
  } catch {
    return `error ${errno}`;
  }
}
