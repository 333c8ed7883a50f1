import type { DrainReason } from "../../protocol/specs.ts";
import type { InstanceStatus } from "../../protocol/view.ts";

export interface StatusFacts {
  readonly enrolled: boolean;
  readonly linkUp: boolean;
  readonly holds: ReadonlySet<DrainReason>;
  readonly verifiedPools: number;
  readonly dataPathInSync: boolean;
}

/** Active is link up, a verified pool, the data path in sync, and not draining: all four, derived. */
export function statusOf(facts: StatusFacts): InstanceStatus {
  if (!facts.enrolled) return "Configured";
  if (!facts.linkUp) return "Offline";
  if (facts.holds.size > 0) return "Draining";
  return facts.verifiedPools > 0 && facts.dataPathInSync ? "Active" : "Online";
}
