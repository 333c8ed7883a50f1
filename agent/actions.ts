import type { Driver } from "../protocol/node/driver.ts";
import type { AgentEffect, AgentInput } from "./core/agent.ts";
import { type AgentActions, leaveWithinMs } from "./core/local-api.ts";
import type { AgentViews } from "./core/ports.ts";

/** What a person asks for on the socket. Each answers when it has taken effect. */
export function actionsOf(
  driver: Driver<AgentInput, AgentEffect>,
  views: AgentViews,
  readings: Readings,
): AgentActions {
  const handled = (input: AgentInput) => {
    driver.post(input);
    driver.flush();
  };
  return {
    drain: async ({ forMs } = {}) => {
      handled({ kind: "hold", reason: "cli", isOn: true, forMs });
      return views.status();
    },
    resume: async () => {
      handled({ kind: "hold", reason: "cli", isOn: false });
      return views.status();
    },
    leave: async ({ forMs = leaveWithinMs } = {}) => {
      handled({ kind: "leave", forMs });
      return views.status();
    },
    verify: async () => {
      const judged = readings.next();
      handled({ kind: "verify" });
      await judged;
      return views.status();
    },
  };
}

/** Lets someone wait for a reading of the prefixes that begins after they asked. */
export class Readings {
  /** BOUNDED: by the socket's clients. */
  #asked: (() => void)[] = [];
  #running: (() => void)[] = [];

  next(): Promise<void> {
    return new Promise((resolve) => this.#asked.push(resolve));
  }

  begun(): void {
    this.#running.push(...this.#asked);
    this.#asked = [];
  }

  /** Its result was posted: it is judged by the end of this turn. */
  ended(): void {
    const waiting = this.#running;
    this.#running = [];
    setImmediate(() => {
      for (const resolve of waiting) resolve();
    });
  }
}
