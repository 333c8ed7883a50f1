import type { LookupFunction } from "node:net";
import { WebSocket } from "ws";
import { type CloseName, closeCodes } from "../close.ts";
import { decodeController, encode } from "../codec.ts";
import type { FailureCode } from "../failures.ts";
import { limits } from "../limits.ts";
import type { LinkInput } from "../link.ts";
import type { ClientMessage } from "../messages.ts";
import type { CaFile } from "./ca-file.ts";
import { isTlsError, tlsFailureOf } from "./network.ts";

/** The link's one outside thing: a WebSocket to the controller. At most one connection at a time. */
export class Dialer implements Disposable {
  readonly #url: URL;
  readonly #ca: Pick<CaFile, "read"> | undefined;
  readonly #lookup: LookupFunction | undefined;
  readonly #localAddress: string | undefined;
  readonly #post: (input: LinkInput) => void;
  readonly #onUnknown: (type: string) => void;
  #open: { readonly dialId: number; readonly socket: WebSocket } | undefined;

  constructor(options: {
    /** The controller's URL, `https://` or `http://`. */
    controller: string;
    /** The only CAs to trust, read at each dial; the system's when absent. */
    ca?: Pick<CaFile, "read"> | undefined;
    /** How the controller's name becomes addresses; the system's way when absent. */
    lookup?: LookupFunction | undefined;
    /** Which of this host's addresses to dial from; the system's choice when absent. */
    localAddress?: string | undefined;
    post: (input: LinkInput) => void;
    onUnknown: (type: string) => void;
  }) {
    this.#url = new URL("/link", options.controller);
    this.#url.protocol = this.#url.protocol === "http:" ? "ws:" : "wss:";
    this.#ca = options.ca;
    this.#lookup = options.lookup;
    this.#localAddress = options.localAddress;
    this.#post = options.post;
    this.#onUnknown = options.onUnknown;
  }

  dial(dialId: number): void {
    this.#open?.socket.terminate();
    let why: FailureCode | undefined;
    let retryAfterMs: number | undefined;
    const socket = new WebSocket(this.#url, {
      perMessageDeflate: false,
      maxPayload: limits.frameBytesMax,
      followRedirects: false,
      ...(this.#ca === undefined ? {} : { ca: this.#ca.read() }),
      ...(this.#lookup === undefined ? {} : { lookup: this.#lookup }),
      ...(this.#localAddress === undefined ? {} : { localAddress: this.#localAddress }),
    });
    this.#open = { dialId, socket };
    socket.on("message", (data, isBinary) => this.#received(dialId, data.toString(), isBinary));
    socket.on("unexpected-response", (request, response) => {
      why =
        response.statusCode === 429 || response.statusCode === 503 ? "link.throttled" : "link.unreachable";
      retryAfterMs = retryAfter(response.headers["retry-after"]);
      request.destroy();
      socket.terminate();
    });
    socket.on("error", (error: NodeJS.ErrnoException) => {
      why ??= failureOf(error);
    });
    socket.on("close", (code) => {
      if (this.#open?.socket === socket) this.#open = undefined;
      this.#post({
        kind: "closed",
        dialId,
        why: why ?? code,
        ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
      });
    });
  }

  send(dialId: number, message: ClientMessage): void {
    const socket = this.#of(dialId);
    if (socket?.readyState !== WebSocket.OPEN) return;
    if (socket.bufferedAmount > limits.sendQueueBytesMax) {
      this.hangUp(dialId, "overloaded");
      return;
    }
    socket.send(encode(message));
  }

  /** Closes politely, and cuts the connection when the other side does not answer within a second. */
  hangUp(dialId: number, close: CloseName): void {
    const socket = this.#of(dialId);
    if (socket === undefined) return;
    if (socket.readyState !== WebSocket.OPEN || close === "silent") socket.terminate();
    else {
      socket.close(closeCodes[close].code);
      setTimeout(() => socket.terminate(), 1000).unref();
    }
  }

  [Symbol.dispose](): void {
    this.#open?.socket.terminate();
  }

  #of(dialId: number): WebSocket | undefined {
    return this.#open?.dialId === dialId ? this.#open.socket : undefined;
  }

  #received(dialId: number, frame: string, isBinary: boolean): void {
    if (isBinary) {
      this.#post({ kind: "unreadable", dialId, why: "protocol.not-json" });
      return;
    }
    const message = decodeController(frame);
    if (!message.ok) this.#post({ kind: "unreadable", dialId, why: message.failure.code });
    else if (message.value.type === "unknown") this.#onUnknown(message.value.name);
    else this.#post({ kind: "received", dialId, message: message.value });
  }
}

const nameErrors = new Set(["ENOTFOUND", "EAI_AGAIN", "EAI_NODATA"]);

function failureOf(error: NodeJS.ErrnoException): FailureCode {
  const code = error.code ?? "";
  if (nameErrors.has(code)) return "link.name";
  if (isTlsError(code)) return tlsFailureOf(code);
  if (code === "WS_ERR_UNSUPPORTED_MESSAGE_LENGTH") return "protocol.too-large";
  return "link.unreachable";
}

/** `Retry-After` in seconds or as a date (RFC 9110, 10.2.3), at most an hour: a typo must not park an instance. */
function retryAfter(header: string | undefined): number | undefined {
  if (header === undefined) return undefined;
  const ms = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - Date.now();
  return Number.isFinite(ms) ? Math.min(Math.max(ms, 0), 3_600_000) : undefined;
}
