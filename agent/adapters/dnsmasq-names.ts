import type { Heard } from "../core/resolver-health.ts";
import { KeptNames, type NameQuestion } from "../core/resolver-names.ts";
import { type Address, ask } from "./dns-question.ts";

const everyMs = 1_000;
/** dnsmasq learns from an answer that comes later, too: this only bounds how long a question is open. */
const answerWithinMs = 2_000;

/** What there is to ask now. */
export interface NamesToKeep {
  readonly names: ReadonlySet<string>;
  /** The resolver's process; undefined while there is none. */
  readonly pid: number | undefined;
  /** Where it answers, on this host. */
  readonly address: string | undefined;
}

/**
 * Asks the resolver for the services' names as a device does, so that the firewall knows their addresses before a device
 * comes that asked another instance for them.
 */
export class NameKeeper implements Disposable {
  readonly #kept = new KeptNames(Math.random);
  readonly #look: () => NamesToKeep;
  readonly #timer: NodeJS.Timeout;

  constructor(look: () => NamesToKeep) {
    this.#look = look;
    this.#timer = setInterval(() => this.#ask(), everyMs);
    this.#timer.unref();
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #ask(): void {
    const { names, pid, address } = this.#look();
    if (address === undefined) return;
    for (const question of this.#kept.next(names, pid, performance.now())) void this.#put(question, address);
  }

  /** Both families, over one: the answer is for dnsmasq, whatever it came over. */
  async #put(question: NameQuestion, server: string): Promise<void> {
    const families: readonly Address[] = ["A", "AAAA"];
    const heard = await Promise.all(
      families.map((type) =>
        ask({ server, from: server, name: question.name, type, withinMs: answerWithinMs }).catch(
          (): Heard => "silence",
        ),
      ),
    );
    const worse = heard.find((one) => one !== "answer") ?? "answer";
    this.#kept.heard(question, worse, performance.now());
  }
}
