import { randomInt } from "node:crypto";
import { createSocket } from "node:dgram";
import type { Logger } from "../../protocol/node/log.ts";
import { UpstreamHealth } from "../core/resolver-upstreams.ts";

const everyMs = 1_000;

/**
 * Asks a connector's DNS servers once a second whether they answer, and tells when it becomes another order in which
 * the resolver should ask them: dnsmasq by itself goes to the next only for devices that repeat a query unchanged,
 * and not all do.
 */
export class UpstreamWatch implements Disposable {
  readonly #health = new UpstreamHealth();
  readonly #onChange: () => void;
  readonly #log: Logger;
  readonly #timer: NodeJS.Timeout;
  #servers: readonly string[] = [];

  constructor(options: { log: Logger; onChange: () => void }) {
    this.#log = options.log;
    this.#onChange = options.onChange;
    this.#timer = setInterval(() => void this.#probe(), everyMs);
    this.#timer.unref();
  }

  /** Which servers there are (`serversOf`). A single one is not watched: there is nobody to ask instead. */
  watch(servers: readonly string[]): void {
    this.#servers = servers.length > 1 ? servers : [];
  }

  /** Those that do not answer now. */
  get silent(): ReadonlySet<string> {
    return this.#health.silent;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  async #probe(): Promise<void> {
    const servers = this.#servers;
    const answers = await Promise.all(servers.map((server) => doesAnswer(server)));
    // The servers were changed meanwhile: what was learned is of others.
    if (servers !== this.#servers) return;
    const changed = this.#health.probed(new Map(servers.map((server, i) => [server, answers[i] ?? false])));
    if (!changed) return;
    this.#log.warn({ silent: [...this.silent] }, "the DNS servers that do not answer have changed");
    this.#onChange();
  }
}

/** Whether the server says anything at all to a question within a second: a refusal is an answer too. */
async function doesAnswer(server: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = createSocket(server.includes(":") ? "udp6" : "udp4");
  const id = randomInt(65_536);
  const timer = setTimeout(() => resolve(false), everyMs - 100);
  socket.on("error", () => resolve(false));
  socket.on("message", (message) => {
    if (message.length >= 12 && message.readUInt16BE(0) === id) resolve(true);
  });
  // Connected: the kernel takes answers from nobody else, and a closed port is told at once.
  socket.connect(53, server, (error?: Error) => {
    if (error === undefined) socket.send(rootQuestion(id), () => undefined);
    else resolve(false);
  });
  const answered = await promise;
  clearTimeout(timer);
  socket.close();
  return answered;
}

/** RFC 1035, 4.1: the name servers of the root; no recursion desired, so that nobody else is troubled. */
function rootQuestion(id: number): Buffer {
  return Buffer.from([id >> 8, id & 255, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1]);
}
