import type { Logger } from "../../protocol/node/log.ts";
import { UpstreamHealth } from "../core/resolver-upstreams.ts";
import { ask } from "./dns-question.ts";

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

  /** Which servers there are (`serversOf`). A single one too: there is nobody to ask instead, but somebody to tell. */
  watch(servers: readonly string[]): void {
    if (servers.join() !== this.#servers.join()) this.#servers = servers;
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
    const answers = await Promise.all(
      servers.map((server) => ask({ server, name: "", type: "NS", withinMs: everyMs - 100 })),
    );
    // The servers were changed meanwhile: what was learned is of others.
    if (servers !== this.#servers) return;
    const changed = this.#health.probed(
      new Map(servers.map((server, i) => [server, answers[i] === "answer" || answers[i] === "refusal"])),
    );
    if (!changed) return;
    this.#log.warn({ silent: [...this.silent] }, "the DNS servers that do not answer have changed");
    this.#onChange();
  }
}
