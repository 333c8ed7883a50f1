import type { ControllerInput } from "../../controller/core/effects.ts";
import type { StateFrame } from "../../protocol/messages.ts";
import type { World } from "./world.ts";

interface Word {
  readonly session: string;
  readonly epoch: number;
  readonly verdict: "alive" | "dead";
}

interface Last extends Word {
  /** Until when the last word that had arrived was dead. */
  readonly deadUntilMs: number;
}

/** A decision is made on what was heard when it was made; so long after that it may be on disk. */
const writtenWithinMs = 3_100;

/** What devices have said of their paths, as it arrives at the controller. */
export class WordWatch {
  readonly #world: World;
  readonly #keys = new Map<number, string>();
  /** By identity key. */
  readonly #last = new Map<string, Last>();

  constructor(world: World) {
    this.#world = world;
  }

  before(input: ControllerInput): void {
    if (input.kind === "disconnected") this.#keys.delete(input.link);
    if (input.kind !== "received") return;
    const { link, message } = input;
    if (message.type === "hello" || message.type === "join") this.#keys.set(link, message.identityKey);
    if (message.type === "state") this.#said(this.#keys.get(link), message);
  }

  /** Whether the controller knew no better than that this path is dead, when it decided what is written now. */
  isDead(identityKey: string, session: string, epoch: number): boolean {
    const last = this.#last.get(identityKey);
    if (last?.session !== session || last.epoch !== epoch) return false;
    return last.verdict === "dead" || this.#world.agenda.nowMs - last.deadUntilMs < writtenWithinMs;
  }

  #said(key: string | undefined, { set }: StateFrame): void {
    if (key === undefined) return;
    for (const [name, value] of set) {
      if (name !== "path") continue;
      const word = value as Word;
      const before = this.#last.get(key);
      const { nowMs } = this.#world.agenda;
      const deadUntilMs = before?.verdict === "dead" ? nowMs : (before?.deadUntilMs ?? 0);
      this.#last.set(key, { ...word, deadUntilMs });
    }
  }
}
