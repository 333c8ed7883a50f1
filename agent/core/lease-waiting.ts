import type { FailureCode } from "../../protocol/failures.ts";
import type { Session } from "./lease-sessions.ts";

/** Sessions without a lease, in the order of arrival: by the pool they wait for, or for the store to let go. */
export class WaitingSessions {
  readonly #forPool = new Map<string, Set<Session>>();
  readonly #forStore = new Set<Session>();

  add(session: Session, why: FailureCode): void {
    if (!why.startsWith("pool.")) {
      this.delete(session);
      this.#forStore.add(session);
      return;
    }
    this.#forStore.delete(session);
    const waiting = this.#forPool.get(session.spec.pool) ?? new Set();
    this.#forPool.set(session.spec.pool, waiting.add(session));
  }

  delete(session: Session): void {
    this.#forStore.delete(session);
    const waiting = this.#forPool.get(session.spec.pool);
    waiting?.delete(session);
    if (waiting?.size === 0) this.#forPool.delete(session.spec.pool);
  }

  forPool(pool: string): Iterable<Session> {
    return this.#forPool.get(pool) ?? [];
  }

  all(): readonly Session[] {
    return [...this.#forStore, ...[...this.#forPool.values()].flatMap((waiting) => [...waiting])];
  }
}
