import type { SessionOutcome } from "../../protocol/state.ts";

/** What instances said about sessions and is not stored yet. The last word counts. */
export class Outcomes {
  /** By session. BOUNDED: sessions. */
  readonly #heard = new Map<string, SessionOutcome>();
  /** Those that are being decided upon, or were last. */
  #taken: ReadonlyMap<string, SessionOutcome> = new Map();

  hear(session: string, outcome: SessionOutcome): void {
    this.#heard.set(session, outcome);
  }

  of(session: string): SessionOutcome | undefined {
    return this.#heard.get(session);
  }

  /** Whether another word about the session is on its way, so that one which changes nothing by itself changes that. */
  isOpen(session: string): boolean {
    return this.#heard.has(session) || this.#taken.has(session);
  }

  forget(session: string): void {
    this.#heard.delete(session);
  }

  /** What was said about these sessions; the rest stays. */
  take(sessions: Iterable<string>): ReadonlyMap<string, SessionOutcome> {
    const taken = new Map<string, SessionOutcome>();
    for (const session of sessions) {
      const outcome = this.#heard.get(session);
      if (outcome === undefined) continue;
      taken.set(session, outcome);
      this.#heard.delete(session);
    }
    this.#taken = taken;
    return taken;
  }

  /** What was taken was not stored. */
  giveBack(): void {
    for (const [session, outcome] of this.#taken) {
      if (!this.#heard.has(session)) this.#heard.set(session, outcome);
    }
  }
}
