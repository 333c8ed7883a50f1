import type { Core } from "../../protocol/core.ts";
import type { SessionOutcome } from "../../protocol/state.ts";
import type { Instant } from "../../protocol/time.ts";
import type { LeaseView, PoolCounts, SessionView } from "../../protocol/view.ts";
import type {
  DetachedLease,
  LeaseConditions,
  LeaseEffect,
  LeaseInput,
  LeasesOptions,
} from "./lease-inputs.ts";
import type { DataPathPeer } from "./ports.ts";

export type {
  DetachedLease,
  LeaseConditions,
  LeaseEffect,
  LeaseInput,
  LeasesOptions,
} from "./lease-inputs.ts";

/** Who holds which address, and what is on disk about it. SPEC.md, "Leases", has the invariants. */
export class Leases implements Core<LeaseInput, LeaseEffect> {
  constructor(_options: LeasesOptions, _now: Instant) {}

  handle(_input: LeaseInput, _now: Instant): readonly LeaseEffect[] {
    return [];
  }

  nextDeadline(): number | undefined {
    return undefined;
  }

  /** What became of a session: only what is on disk; undefined while it is being granted, and for one unknown. */
  outcome(_sessionId: string): SessionOutcome | undefined {
    return undefined;
  }

  /** Ids of the desired sessions. */
  sessionIds(): Iterable<string> {
    return [];
  }

  /** The lease under `device/pool` that no session uses: cooling. */
  detached(_key: string): DetachedLease | undefined {
    return undefined;
  }

  detachedKeys(): Iterable<string> {
    return [];
  }

  /** Undefined for a pool that is not configured. */
  counts(_pool: string): PoolCounts | undefined {
    return undefined;
  }

  poolNames(): readonly string[] {
    return [];
  }

  /** Sessions whose addresses are theirs on disk and routed here: what the data path forwards for. */
  peers(): readonly DataPathPeer[] {
    return [];
  }

  leaseViews(_now: Instant): readonly LeaseView[] {
    return [];
  }

  sessionViews(_now: Instant): readonly SessionView[] {
    return [];
  }

  conditions(): LeaseConditions {
    return { full: [], uneven: [], store: undefined, lostTo: undefined };
  }
}
