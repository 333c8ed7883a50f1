import type { LeaseEffect } from "./lease-inputs.ts";

/** What to report anew after an input. BOUNDED: emptied at the end of every input. */
export class LeaseChanges {
  readonly sessions = new Set<string>();
  /** `device/pool` of leases. */
  readonly holders = new Set<string>();
  readonly pools = new Set<string>();

  /** `peers`: whether one of the sessions is or was a peer. */
  take(peers: boolean): Extract<LeaseEffect, { do: "changed" }> | undefined {
    if (this.sessions.size + this.holders.size + this.pools.size === 0) return undefined;
    const { sessions, holders, pools } = this;
    const taken = { sessions: [...sessions], leases: [...holders], pools: [...pools], peers };
    this.sessions.clear();
    this.holders.clear();
    this.pools.clear();
    return { do: "changed", ...taken };
  }
}
