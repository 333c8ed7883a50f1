import { type CloseName, closeCodes } from "../../protocol/close.ts";
import { decodeClient, decodeController, encode } from "../../protocol/codec.ts";
import type { FailureCode } from "../../protocol/failures.ts";
import type { LinkInput } from "../../protocol/link.ts";
import type { ClientMessage, ControllerMessage } from "../../protocol/messages.ts";
import type { Agenda } from "./agenda.ts";
import type { Random } from "./random.ts";

/** Which way nothing gets through: from the host, or to it. */
export interface Blocked {
  out: boolean;
  in: boolean;
}

/** A host that dials the controller. */
export interface Client {
  readonly name: string;
  readonly address: string;
  readonly control: Blocked;
  /** The host runs, whatever of it does: who asks it about a connection it has forgotten is told so. */
  readonly isUp: boolean;
  hear(input: LinkInput): void;
}

/** The controller's end, while it runs. */
export interface Server {
  connected(link: number, address: string): void;
  received(link: number, message: ClientMessage): void;
  disconnected(link: number): void;
}

type Item =
  | { readonly is: "open" }
  | { readonly is: "frame"; readonly text: string }
  | { readonly is: "close"; readonly why: number | FailureCode };

/** One direction of one connection: whole and in order, as TCP gives it, or later, or not at all. */
interface Pipe {
  readonly queue: { readonly atMs: number; readonly item: Item }[];
  lastMs: number;
}

interface Connection {
  readonly link: number;
  readonly client: Client;
  readonly dialId: number;
  readonly up: Pipe;
  readonly down: Pipe;
  /** Nobody is at this end any more; `silent`: and the other end was not told. */
  clientEnd: "open" | "closed" | "silent";
  serverEnd: "opening" | "open" | "closed";
  /** When something of it last reached the controller. */
  heardAtMs: number;
}

/** Heard of every message that arrives, for whoever checks. */
export interface Wiretap {
  sent(
    from: Client | "controller",
    link: number,
    client: Client,
    message: ClientMessage | ControllerMessage,
  ): void;
  /** Every connection's coming and going, as text for the digest. */
  note(text: string): void;
}

/**
 * The links to the controller: ordered streams that are slow, are cut, or stop in one direction or both without a word.
 * What was sent into a stopped one arrives when it goes on, unless its end was closed meanwhile.
 */
export class Network {
  server: Server | undefined;
  readonly #agenda: Agenda;
  readonly #random: Random;
  readonly #tap: Wiretap;
  readonly #delayMs: { readonly min: number; readonly max: number };
  readonly #connections = new Map<number, Connection>();
  #links = 0;

  constructor(options: {
    agenda: Agenda;
    random: Random;
    tap: Wiretap;
    delayMs: { readonly min: number; readonly max: number };
  }) {
    this.#agenda = options.agenda;
    this.#random = options.random;
    this.#tap = options.tap;
    this.#delayMs = options.delayMs;
  }

  get size(): number {
    return this.#connections.size;
  }

  /** Connections that the controller holds open though nothing has come over them for so long. */
  silent(client: Client, forMs: number): number[] {
    return this.#of(client).flatMap(({ link, serverEnd, heardAtMs }) =>
      serverEnd === "open" && this.#agenda.nowMs - heardAtMs > forMs ? [link] : [],
    );
  }

  dial(client: Client, dialId: number): void {
    for (const other of this.#of(client)) this.#closeClient(other, 1006);
    const link = ++this.#links;
    const pipe = (): Pipe => ({ queue: [], lastMs: 0 });
    const connection: Connection = {
      ...{ link, client, dialId, up: pipe(), down: pipe() },
      ...{ clientEnd: "open", serverEnd: "opening", heardAtMs: this.#agenda.nowMs },
    };
    this.#connections.set(link, connection);
    this.#push(connection, "up", { is: "open" });
  }

  fromClient(client: Client, dialId: number, message: ClientMessage): void {
    const connection = this.#of(client).find((one) => one.dialId === dialId && one.clientEnd === "open");
    if (connection === undefined) return;
    const text = encode(message);
    this.#tap.sent(client, connection.link, client, message);
    this.#push(connection, "up", { is: "frame", text });
  }

  hangUp(client: Client, dialId: number, close: CloseName): void {
    const connection = this.#of(client).find((one) => one.dialId === dialId);
    if (connection === undefined || connection.clientEnd !== "open") return;
    this.#closeClient(connection, closeCodes[close].code);
    client.hear({ kind: "closed", dialId, why: closeCodes[close].code });
  }

  /** The process is gone: its sockets are closed by its host. With its host, nobody is told. */
  clientDied(client: Client, isTold: boolean): void {
    for (const connection of this.#of(client)) {
      if (isTold) this.#closeClient(connection, 1006);
      else if (connection.clientEnd === "open") connection.clientEnd = "silent";
    }
  }

  fromServer(link: number, message: ControllerMessage): void {
    const connection = this.#connections.get(link);
    if (connection?.serverEnd !== "open") return;
    this.#tap.sent("controller", link, connection.client, message);
    this.#push(connection, "down", { is: "frame", text: encode(message) });
  }

  closeFromServer(link: number, close: CloseName): void {
    const connection = this.#connections.get(link);
    if (connection?.serverEnd !== "open") return;
    connection.serverEnd = "closed";
    this.#push(connection, "down", { is: "close", why: closeCodes[close].code });
  }

  serverDied(): void {
    this.server = undefined;
    for (const connection of this.#connections.values()) {
      if (connection.serverEnd !== "open") continue;
      connection.serverEnd = "closed";
      this.#push(connection, "down", { is: "close", why: 1006 });
    }
  }

  /** Something between them ends the connection, and tells both. */
  cut(client: Client): void {
    for (const connection of this.#of(client)) {
      if (connection.clientEnd !== "open" || connection.serverEnd !== "open") continue;
      this.#push(connection, "down", { is: "close", why: 1006 });
      this.#push(connection, "up", { is: "close", why: 1006 });
    }
  }

  /** What was held up goes on where it may. */
  changed(client: Client): void {
    for (const connection of this.#of(client)) {
      for (const way of ["up", "down"] as const) {
        if (connection[way].queue.length > 0)
          this.#agenda.after(this.#delay() * 3, () => this.#pump(connection, way));
      }
    }
  }

  #of(client: Client): Connection[] {
    return [...this.#connections.values()].filter((connection) => connection.client === client);
  }

  #delay(): number {
    return this.#random.between(this.#delayMs.min, this.#delayMs.max);
  }

  #closeClient(connection: Connection, why: number): void {
    if (connection.clientEnd !== "open") return;
    connection.clientEnd = "closed";
    this.#push(connection, "up", { is: "close", why });
  }

  #push(connection: Connection, way: "up" | "down", item: Item): void {
    const pipe = connection[way];
    const atMs = Math.max(pipe.lastMs, this.#agenda.nowMs + this.#delay());
    pipe.lastMs = atMs;
    pipe.queue.push({ atMs, item });
    this.#agenda.at(atMs, () => this.#pump(connection, way));
  }

  #pump(connection: Connection, way: "up" | "down"): void {
    const pipe = connection[way];
    for (let next = pipe.queue[0]; next !== undefined; next = pipe.queue[0]) {
      const { control } = connection.client;
      if (next.atMs > this.#agenda.nowMs || (way === "up" ? control.out : control.in)) return;
      pipe.queue.shift();
      if (way === "up") this.#toServer(connection, next.item);
      else this.#toClient(connection, next.item);
    }
    if (connection.serverEnd === "closed" && connection.clientEnd !== "open") {
      const isEmpty = connection.up.queue.length + connection.down.queue.length === 0;
      if (isEmpty) this.#connections.delete(connection.link);
    }
  }

  #toServer(connection: Connection, item: Item): void {
    const { server } = this;
    const { link, client } = connection;
    connection.heardAtMs = this.#agenda.nowMs;
    switch (item.is) {
      case "open":
        if (connection.clientEnd !== "open") connection.serverEnd = "closed";
        else if (server === undefined) {
          connection.serverEnd = "closed";
          this.#push(connection, "down", { is: "close", why: "link.unreachable" });
        } else {
          connection.serverEnd = "open";
          this.#tap.note(`open ${link} ${client.name}`);
          server.connected(link, client.address);
        }
        return;
      case "frame": {
        if (connection.serverEnd !== "open" || server === undefined) return;
        const message = decodeClient(item.text);
        if (!message.ok || message.value.type === "unknown") throw new Error(`a client said ${item.text}`);
        server.received(link, message.value);
        return;
      }
      case "close":
        if (connection.serverEnd !== "open") return;
        connection.serverEnd = "closed";
        this.#tap.note(`gone ${link} ${client.name}`);
        server?.disconnected(link);
    }
  }

  #toClient(connection: Connection, item: Item): void {
    const { client, dialId } = connection;
    if (connection.clientEnd !== "open") {
      // The host that has come back knows nothing of this connection, and says so.
      if (connection.clientEnd === "silent" && client.isUp) {
        connection.clientEnd = "closed";
        this.#push(connection, "up", { is: "close", why: 1006 });
      }
      return;
    }
    switch (item.is) {
      case "open":
        return;
      case "frame": {
        const message = decodeController(item.text);
        if (!message.ok || message.value.type === "unknown")
          throw new Error(`the controller said ${item.text}`);
        client.hear({ kind: "received", dialId, message: message.value });
        return;
      }
      case "close":
        connection.clientEnd = "closed";
        client.hear({ kind: "closed", dialId, why: item.why });
    }
  }
}
