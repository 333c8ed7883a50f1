import type { Server } from "node:http";
import type { Socket } from "node:net";

/**
 * The connections of a server, for its end. Closing waits for each, and Node takes one that has said nothing yet, or half a
 * request, for a busy one, while the time-outs that would end it end with the closing; one before its TLS handshake is
 * not known to HTTP at all.
 */
export class Connections {
  /** BOUNDED: by the process's descriptors. */
  readonly #open = new Set<Socket>();

  constructor(server: Server) {
    server.on("connection", (socket: Socket) => {
      this.#open.add(socket);
      socket.once("close", () => this.#open.delete(socket));
    });
  }

  /** Cuts all that are left after so long. Returns what prevents it. */
  cutAfter(ms: number): Disposable {
    const timer = setTimeout(() => {
      for (const socket of this.#open) socket.destroy();
    }, ms);
    return { [Symbol.dispose]: () => clearTimeout(timer) };
  }
}
