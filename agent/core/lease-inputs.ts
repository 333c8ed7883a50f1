import type { FailureCode } from "../../protocol/failures.ts";
import type { SessionSpec } from "../../protocol/specs.ts";
import type { LeaseRow, Pools, Saved } from "./ports.ts";

export interface LeasesOptions {
  readonly saved: Pick<Saved, "leases" | "clock" | "lostTo">;
  /** /proc/sys/kernel/random/boot_id: monotonic times of another boot mean nothing. */
  readonly bootId: string;
  /** How long an address rests before another device gets it; longer than conntrack's memory (180 s). Default 240 s. */
  readonly coolDownMs?: number;
}

export type LeaseInput =
  /** The configured pools, and which of their ranges AWS routes here now, by prefix text. First input after the start. */
  | { readonly kind: "ranges"; readonly pools: Pools; readonly verified: ReadonlySet<string> }
  /**
   * Sessions to serve and sessions that are over. With `snapshot`, every session not in `set` is over. `from: "disk"` is
   * the remembered desired state after a restart; it never ends the wait for the controller after a lost database.
   */
  | {
      readonly kind: "sessions";
      readonly from: "controller" | "disk";
      readonly set: readonly (readonly [id: string, spec: SessionSpec])[];
      readonly over: readonly string[];
      readonly snapshot: boolean;
    }
  /**
   * When each session's device was last heard, monotonic ms: renews the lease. Whoever sent something before `throughMs` is
   * among them: a lease that ran out by then is over.
   */
  | {
      readonly kind: "seen";
      readonly sessions: Iterable<readonly [id: string, atMonotonicMs: number]>;
      readonly throughMs: number;
    }
  /** Nobody can say which devices are connected: no lease of a session ends before this, monotonic ms. */
  | { readonly kind: "spare"; readonly untilMs: number }
  | { readonly kind: "stored"; readonly effectId: number }
  | { readonly kind: "storeFailed"; readonly effectId: number; readonly why: FailureCode }
  | { readonly kind: "tick" };

export type LeaseEffect =
  /** Put this on disk as one transaction and say `stored` or `storeFailed`. Never more than one is on its way. */
  | {
      readonly do: "store";
      readonly effectId: number;
      readonly rows: readonly LeaseRow[];
      /** Rows that are no more, by `pairKey`. To be removed before `rows` are written. */
      readonly forgotten: readonly string[];
      readonly recovered: boolean;
    }
  /** What to report anew: ask `outcome`, `detached` and `counts` for the values, which may be gone. */
  | {
      readonly do: "changed";
      readonly sessions: readonly string[];
      /** `device/pool` of leases that no session uses. */
      readonly leases: readonly string[];
      readonly pools: readonly string[];
      /** Whether one of these sessions is or was a peer of the data path. */
      readonly peers: boolean;
    };

/** A lease without a session, as it is reported. */
export interface DetachedLease {
  readonly state: "cooling" | "quarantined";
  readonly ipv4?: string;
  readonly ipv6?: string;
  readonly untilMs: number;
}

/** Facts that conditions are made of. */
export interface LeaseConditions {
  /** Pools with verified ranges and no free address. */
  readonly full: readonly string[];
  /** Dual-stack pools with fewer IPv6 than IPv4 addresses. */
  readonly uneven: readonly string[];
  /** Why the last write failed, until one succeeds. */
  readonly store: FailureCode | undefined;
  /** Set while a lost database is not recovered from: the name of the file that was set aside. */
  readonly lostTo: string | undefined;
}
