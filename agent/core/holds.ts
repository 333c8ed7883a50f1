import type { DrainReason } from "../../protocol/specs.ts";

/** Why the instance takes no new sessions: a set, so that ending one reason does not end another. */
export class Holds {
  readonly #reasons: Set<DrainReason>;

  /** `saved` is what `saved` gave before the restart. */
  constructor(saved: readonly DrainReason[] = []) {
    this.#reasons = new Set(saved.filter((reason) => survivesRestart[reason]));
  }

  /** Whether this changed anything. */
  set(reason: DrainReason, isOn: boolean): boolean {
    if (this.#reasons.has(reason) === isOn) return false;
    if (isOn) this.#reasons.add(reason);
    else this.#reasons.delete(reason);
    return true;
  }

  get reasons(): ReadonlySet<DrainReason> {
    return this.#reasons;
  }

  get saved(): DrainReason[] {
    return [...this.#reasons].filter((reason) => survivesRestart[reason]);
  }
}

/** A person's word holds until it is taken back; everything else is learnt anew from where it came from. */
const survivesRestart = {
  cli: true,
  admin: false,
  shutdown: false,
  spot: false,
  rebalance: false,
  autoscaling: false,
} as const satisfies Record<DrainReason, boolean>;
