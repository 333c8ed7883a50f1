import type { LabDevice } from "../device.ts";
import { type Heard, monotonicMs, startRequests } from "../vpc/requests.ts";
import { type Gap, Gaps } from "./gaps.ts";

/** What every device does all the time. */
export const requests = { everyMs: 20, withinMs: 500 } as const;

/** What came of the requests of one device since the last restart of the count. */
export interface Heed {
  readonly device: string;
  readonly gap: Gap;
  /** How late its requests were themselves: no gap can be seen more finely. */
  readonly lateMs: number;
  readonly answered: number;
  readonly unanswered: number;
}

interface Asking {
  readonly gaps: Gaps;
  heard: Omit<Heard, "answeredAtMs">;
  answered: number;
}

/** HTTP requests from every device to one private application, and the longest time each of them was without an answer. */
export class Load implements AsyncDisposable {
  readonly #askings = new Map<string, Asking>();
  readonly #programs: readonly AsyncDisposable[];
  #sinceMs = monotonicMs();

  constructor(devices: readonly LabDevice[], to: { readonly address: string; readonly port: number }) {
    this.#programs = devices.flatMap(({ plan, site: { host } }) => {
      if (host === undefined) return [];
      const asking: Asking = { gaps: new Gaps(), heard: nothing, answered: 0 };
      this.#askings.set(plan.name, asking);
      return startRequests(host, { ...to, ...requests, onHeard: (heard) => hear(asking, heard) });
    });
  }

  /** Counts anew from now on. */
  restart(): void {
    this.#sinceMs = monotonicMs();
    for (const asking of this.#askings.values()) {
      asking.gaps.restart();
      asking.answered = 0;
      asking.heard = { ...nothing, atMs: asking.heard.atMs };
    }
  }

  read(): Heed[] {
    return [...this.#askings].map(([device, { gaps, heard, answered }]) => ({
      device,
      gap: gaps.longest(heard.atMs),
      lateMs: heard.latestMs,
      answered,
      unanswered: heard.unanswered,
    }));
  }

  /** Processor time of all the requests since the restart, as a part of one processor. */
  get cpuRatio(): number {
    const cpuMs = [...this.#askings.values()].reduce((sum, { heard }) => sum + heard.cpuMs, 0);
    return cpuMs / (monotonicMs() - this.#sinceMs);
  }

  /** Those who were not answered within the last so many ms, or did not say so. */
  silent(withinMs: number): string[] {
    return [...this.#askings].flatMap(([device, { gaps }]) =>
      gaps.silentMs(monotonicMs()) > withinMs ? device : [],
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#programs.map((program) => program[Symbol.asyncDispose]()));
  }
}

const nothing = { atMs: 0, unanswered: 0, latestMs: 0, cpuMs: 0 } as const;

function hear(asking: Asking, { answeredAtMs, ...heard }: Heard): void {
  asking.gaps.answered(answeredAtMs);
  asking.answered += answeredAtMs.length;
  asking.heard = {
    atMs: heard.atMs,
    unanswered: asking.heard.unanswered + heard.unanswered,
    latestMs: Math.max(asking.heard.latestMs, heard.latestMs),
    cpuMs: asking.heard.cpuMs + heard.cpuMs,
  };
}
