import type { IncomingMessage, Server } from "node:http";
import type { Duplex } from "node:stream";
import { type RawData, WebSocket, WebSocketServer } from "ws";
import { type CloseName, closeCodes } from "../../protocol/close.ts";
import { decodeClient, encode } from "../../protocol/codec.ts";
import { limits } from "../../protocol/limits.ts";
import type { ControllerMessage, Role } from "../../protocol/messages.ts";
import type { Logger } from "../../protocol/node/log.ts";
import type { Clock } from "../../protocol/time.ts";
import type { ControllerInput, LinkId } from "../core/effects.ts";
import { HandshakeRate, plainAddress } from "./handshake-rate.ts";
import { type Rate, TokenBucket } from "./token-bucket.ts";

interface Allowance {
  /** Bytes of a frame that the peer may send. */
  readonly frameBytesMax: number;
  /** Bytes it may leave unread. */
  readonly sendQueueBytesMax: number;
  /** Frames that are read of it; undefined: all. */
  readonly frames?: Rate;
}

const ofStranger: Allowance = {
  frameBytesMax: limits.strangerFrameBytesMax,
  sendQueueBytesMax: limits.deviceSendQueueBytesMax,
};

const allowances: Readonly<Record<Role, Allowance>> = {
  agent: { frameBytesMax: limits.frameBytesMax, sendQueueBytesMax: limits.sendQueueBytesMax },
  device: { ...ofStranger, frames: { perSecond: 20, burst: 200 } },
};

interface Connection {
  readonly socket: WebSocket;
  allowance: Allowance;
  frames?: TokenBucket;
  /** Ends the count of a stranger's bytes. */
  trust: () => void;
}

export interface LinkServerOptions {
  readonly server: Server;
  readonly post: (input: ControllerInput) => void;
  readonly log: Logger;
  readonly clock: Clock;
  /** Links one address may open. */
  readonly handshakes?: { readonly perSecond: number; readonly burst: number } | undefined;
}

/** The WebSockets of agents and devices at `/link`. It moves frames and enforces their limits; it decides nothing. */
export class LinkServer implements Disposable {
  readonly #options: LinkServerOptions;
  readonly #sockets: WebSocketServer;
  readonly #rate: HandshakeRate;
  readonly #connections = new Map<LinkId, Connection>();
  readonly #onUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer) =>
    this.#upgrade(request, socket, head);
  #links = 0;

  constructor(options: LinkServerOptions) {
    this.#options = options;
    this.#rate = new HandshakeRate(options.handshakes ?? { perSecond: 20, burst: 400 });
    this.#sockets = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: limits.frameBytesMax,
    });
    options.server.on("upgrade", this.#onUpgrade);
  }

  send(link: LinkId, message: ControllerMessage): void {
    const connection = this.#connections.get(link);
    if (connection?.socket.readyState !== WebSocket.OPEN) return;
    if (connection.socket.bufferedAmount > connection.allowance.sendQueueBytesMax) {
      this.#options.log.warn({ link, bytes: connection.socket.bufferedAmount }, "peer does not read");
      this.close(link, "overloaded");
    } else connection.socket.send(encode(message));
  }

  /** The peer has proven who it is. */
  trust(link: LinkId, role: Role): void {
    const connection = this.#connections.get(link);
    if (connection === undefined) return;
    const allowance = allowances[role];
    connection.allowance = allowance;
    if (allowance.frames !== undefined)
      connection.frames = new TokenBucket(allowance.frames, this.#options.clock().monotonicMs);
    connection.trust();
  }

  /** Closes politely, and cuts the connection when the other side does not answer within a second. */
  close(link: LinkId, close: CloseName): void {
    const socket = this.#connections.get(link)?.socket;
    if (socket === undefined) return;
    if (close === "overloaded") {
      socket.terminate();
      return;
    }
    socket.close(closeCodes[close].code);
    setTimeout(() => socket.terminate(), 1000).unref();
  }

  refuseNew(): void {
    this.#options.server.off("upgrade", this.#onUpgrade);
  }

  [Symbol.dispose](): void {
    this.refuseNew();
    for (const { socket } of this.#connections.values()) socket.terminate();
    this.#sockets.close();
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on("error", () => socket.destroy());
    const address = plainAddress(request.socket.remoteAddress ?? "unknown");
    const path = request.url?.split("?", 1)[0];
    if (path !== "/link") {
      answer(socket, "404 Not Found", []);
      return;
    }
    const refusal = this.#rate.refusal(address, this.#options.clock().monotonicMs);
    if (refusal !== undefined) {
      const { waitSeconds, isFirst } = refusal;
      if (isFirst) this.#options.log.warn({ address, waitSeconds }, "too many links from one address");
      answer(socket, "429 Too Many Requests", [`Retry-After: ${waitSeconds}`]);
      return;
    }
    this.#sockets.handleUpgrade(request, socket, head, (opened) => this.#opened(opened, socket, address));
  }

  #opened(socket: WebSocket, stream: Duplex, address: string): void {
    const link = ++this.#links;
    const { post, log } = this.#options;
    // A frame of a stranger is gathered in memory before ws hands it over: its bytes are counted on the way.
    let strangerBytes = 0;
    const countBytes = (chunk: Buffer) => {
      strangerBytes += chunk.length;
      if (strangerBytes <= 2 * limits.strangerFrameBytesMax) return;
      stream.off("data", countBytes);
      post({ kind: "unreadable", link, why: "protocol.too-large" });
      setTimeout(() => socket.terminate(), 100).unref();
    };
    stream.on("data", countBytes);
    const connection: Connection = {
      socket,
      allowance: ofStranger,
      trust: () => stream.off("data", countBytes),
    };
    this.#connections.set(link, connection);
    socket.on("message", (data, isBinary) => this.#received(link, connection, data, isBinary));
    socket.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "WS_ERR_UNSUPPORTED_MESSAGE_LENGTH") {
        post({ kind: "unreadable", link, why: "protocol.too-large" });
      } else log.debug({ link, err: error }, "link error");
    });
    socket.on("close", () => {
      this.#connections.delete(link);
      post({ kind: "disconnected", link });
    });
    post({ kind: "connected", link, address });
  }

  #received(link: LinkId, connection: Connection, data: RawData, isBinary: boolean): void {
    const { post } = this.#options;
    this.#pace(link, connection);
    if (isBinary) {
      post({ kind: "unreadable", link, why: "protocol.not-json" });
      return;
    }
    const message = decodeClient(data.toString(), connection.allowance.frameBytesMax);
    if (!message.ok) post({ kind: "unreadable", link, why: message.failure.code });
    else if (message.value.type === "unknown") post({ kind: "unknown", link });
    else post({ kind: "received", link, message: message.value });
  }

  /** Who says too much at once is not read for a while, and loses nothing by it: TCP has it wait. */
  #pace(link: LinkId, { socket, frames }: Connection): void {
    const { clock, log } = this.#options;
    const waitMs = frames?.owe(clock().monotonicMs) ?? 0;
    if (waitMs === 0 || socket.isPaused) return;
    log.debug({ link, waitMs: Math.round(waitMs) }, "peer says too much at once");
    socket.pause();
    setTimeout(() => socket.resume(), waitMs).unref();
  }
}

function answer(socket: Duplex, status: string, headers: readonly string[]): void {
  const lines = [`HTTP/1.1 ${status}`, ...headers, "Connection: close", "Content-Length: 0", "", ""];
  socket.end(lines.join("\r\n"));
}
