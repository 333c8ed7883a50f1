import type { Fleet } from "./fleet.ts";
import type { Model } from "./model.ts";

export type Word = "alive" | "dead";

interface Heard {
  readonly instance: string;
  readonly word: Word;
}

/**
 * What devices that are on a link say of the path of the session they have now, counted by instance as it changes. What a
 * device says of an earlier epoch or another instance counts for nobody.
 */
export class Witnesses {
  readonly #model: Model;
  readonly #fleet: Fleet;
  /** BOUNDED: devices. */
  readonly #heard = new Map<string, Heard>();
  /** BOUNDED: instances. */
  readonly #counts = new Map<string, { alive: number; dead: number }>();

  constructor(model: Model, fleet: Fleet) {
    this.#model = model;
    this.#fleet = fleet;
  }

  wordOf(device: string): Word | undefined {
    return this.#heard.get(device)?.word;
  }

  of(instance: string): { readonly alive: number; readonly dead: number } {
    return this.#counts.get(instance) ?? nobody;
  }

  /** Looks anew at what a device says; answers the instances whose count that changed. */
  look(device: string): readonly string[] {
    const before = this.#heard.get(device);
    const after = this.#heardNow(device);
    if (before?.instance === after?.instance && before?.word === after?.word) return [];
    if (before !== undefined) this.#count(before, -1);
    if (after === undefined) this.#heard.delete(device);
    else {
      this.#heard.set(device, after);
      this.#count(after, 1);
    }
    return [before, after].flatMap((heard) => heard?.instance ?? []);
  }

  #heardNow(device: string): Heard | undefined {
    const session = this.#model.sessionByDevice.get(device);
    const facts = this.#fleet.device(device);
    if (session?.place.is !== "attached" || facts?.link === undefined) return undefined;
    const { path } = facts;
    const { instance } = session.place;
    if (path?.session !== session.id || path.epoch !== session.epoch) return undefined;
    if (path.instance !== this.#model.instances.get(instance)?.name) return undefined;
    return { instance, word: path.verdict };
  }

  #count({ instance, word }: Heard, by: 1 | -1): void {
    const counts = this.#counts.get(instance) ?? { alive: 0, dead: 0 };
    counts[word] += by;
    if (counts.alive + counts.dead > 0) this.#counts.set(instance, counts);
    else this.#counts.delete(instance);
  }
}

const nobody = { alive: 0, dead: 0 } as const;
