import { expect, test } from "vitest";
import { LeaseWorld, pool, session } from "../support/lease-world.ts";

/** Every state a session can be in, against everything that can happen to it. */
type State =
  | "unknown"
  | "granting"
  | "granted"
  | "raising"
  | "waiting for the pool"
  | "waiting for the store"
  | "expired"
  | "superseded"
  | "quarantined";
type Happening =
  | "wanted again"
  | "wanted higher"
  | "wanted lower"
  | "another session of the device"
  | "over"
  | "stored"
  | "storeFailed"
  | "lease time passes"
  | "range vanishes"
  | "range returns";
/** What the session is told, and the state of the row of its address, in memory. */
type Expected =
  `${"–" | "nothing" | "granted" | FailureText}, ${"–" | "leased" | "cooling" | "free" | "quarantined"}`;
type FailureText = `refused ${string}` | `ended ${string}`;

const full = "refused pool.full, –" as const;
const broken = "refused store.full, –" as const;
const expired = "ended lease.expired, cooling" as const;
const superseded = "ended lease.superseded, leased" as const;
const quarantined = "ended lease.quarantined, quarantined" as const;

const table: Record<State, Record<Happening, Expected>> = {
  unknown: {
    "wanted again": "nothing, leased",
    "wanted higher": "nothing, leased",
    "wanted lower": "nothing, leased",
    "another session of the device": "–, leased",
    over: "–, –",
    stored: "–, –",
    storeFailed: "–, –",
    "lease time passes": "–, –",
    "range vanishes": "–, –",
    "range returns": "–, –",
  },
  granting: {
    "wanted again": "nothing, leased",
    "wanted higher": "nothing, leased",
    "wanted lower": "nothing, leased",
    "another session of the device": "ended lease.superseded, leased",
    over: "–, cooling",
    stored: "granted, leased",
    storeFailed: broken,
    "lease time passes": expired,
    "range vanishes": "nothing, quarantined",
    "range returns": "nothing, leased",
  },
  granted: {
    "wanted again": "granted, leased",
    "wanted higher": "nothing, leased",
    "wanted lower": "granted, leased",
    "another session of the device": superseded,
    over: "–, cooling",
    stored: "granted, leased",
    storeFailed: "granted, leased",
    "lease time passes": expired,
    "range vanishes": quarantined,
    "range returns": "granted, leased",
  },
  raising: {
    "wanted again": "nothing, leased",
    "wanted higher": "nothing, leased",
    "wanted lower": "nothing, leased",
    "another session of the device": superseded,
    over: "–, cooling",
    stored: "granted, leased",
    // The address is the device's on disk all the same, so it stays: only the new epoch cannot be answered for yet.
    storeFailed: "refused store.full, leased",
    "lease time passes": expired,
    "range vanishes": "nothing, quarantined",
    "range returns": "nothing, leased",
  },
  "waiting for the pool": {
    "wanted again": full,
    "wanted higher": full,
    "wanted lower": full,
    "another session of the device": full,
    over: "–, –",
    stored: full,
    storeFailed: full,
    "lease time passes": full,
    "range vanishes": "refused pool.unverified, –",
    "range returns": full,
  },
  "waiting for the store": {
    "wanted again": broken,
    "wanted higher": broken,
    "wanted lower": broken,
    "another session of the device": broken,
    over: "–, –",
    stored: broken,
    storeFailed: broken,
    // The tick is also the retry.
    "lease time passes": "refused store.full, leased",
    "range vanishes": broken,
    "range returns": broken,
  },
  expired: {
    "wanted again": expired,
    "wanted higher": "nothing, leased",
    "wanted lower": expired,
    "another session of the device": "ended lease.expired, leased",
    over: "–, cooling",
    stored: expired,
    storeFailed: expired,
    "lease time passes": "ended lease.expired, free",
    "range vanishes": "ended lease.expired, quarantined",
    "range returns": expired,
  },
  superseded: {
    "wanted again": superseded,
    "wanted higher": "nothing, leased",
    "wanted lower": superseded,
    "another session of the device": superseded,
    over: "–, leased",
    stored: superseded,
    storeFailed: superseded,
    "lease time passes": "ended lease.superseded, cooling",
    "range vanishes": "ended lease.superseded, quarantined",
    "range returns": superseded,
  },
  quarantined: {
    "wanted again": quarantined,
    // No other range is there: it waits, and what it had rests.
    "wanted higher": "refused pool.unverified, quarantined",
    "wanted lower": quarantined,
    "another session of the device": "ended lease.superseded, quarantined",
    over: "–, quarantined",
    stored: quarantined,
    storeFailed: quarantined,
    "lease time passes": "ended lease.expired, quarantined",
    "range vanishes": quarantined,
    "range returns": "granted, leased",
  },
};

const range = "10.0.0.16/32";
const pools = new Map([["staff", pool([range])]]);

const reach: Record<State, (w: LeaseWorld) => void> = {
  unknown: () => undefined,
  granting: (w) => w.want(["s", session("d", 5)]),
  granted: (w) => {
    w.want(["s", session("d", 5)]);
    w.settle();
  },
  raising: (w) => {
    w.want(["s", session("d", 4)]);
    w.settle();
    w.want(["s", session("d", 5)]);
  },
  "waiting for the pool": (w) => {
    w.want(["other", session("d0")]);
    w.settle();
    w.want(["s", session("d", 5)]);
  },
  "waiting for the store": (w) => {
    w.want(["s", session("d", 5)]);
    w.storeFailed();
  },
  expired: (w) => {
    w.want(["s", session("d", 5)]);
    w.live(60 * 60_000);
    w.settle();
  },
  superseded: (w) => {
    w.want(["s", session("d", 5)]);
    w.settle();
    w.want(["s2", session("d", 5)]);
    w.settle();
  },
  quarantined: (w) => {
    w.want(["s", session("d", 5)]);
    w.settle();
    w.configure(pools, [range]);
  },
};

const happen: Record<Happening, (w: LeaseWorld) => void> = {
  "wanted again": (w) => w.want(["s", session("d", 5)]),
  "wanted higher": (w) => w.want(["s", session("d", 6)]),
  "wanted lower": (w) => w.want(["s", session("d", 4)]),
  "another session of the device": (w) => w.want(["s3", session("d", 1)]),
  over: (w) => w.end("s"),
  stored: (w) => w.stored(),
  storeFailed: (w) => w.storeFailed(),
  "lease time passes": (w) => {
    w.pass(60 * 60_000);
    w.seen();
    w.input({ kind: "tick" });
  },
  "range vanishes": (w) => w.configure(pools, [range]),
  "range returns": (w) => w.configure(pools),
};

for (const [state, row] of Object.entries(table) as [State, Record<Happening, Expected>][]) {
  for (const [happening, expected] of Object.entries(row) as [Happening, Expected][]) {
    test(`${state}: ${happening} → ${expected}`, () => {
      const w = new LeaseWorld();
      w.configure(pools);
      reach[state](w);
      happen[happening](w);
      expect(seenIn(w)).toBe(expected);
    });
  }
}

function seenIn(w: LeaseWorld): string {
  const outcome = w.leases.outcome("s");
  const known = [...w.leases.sessionIds()].includes("s");
  const told = outcome === undefined ? (known ? "nothing" : "–") : outcome.outcome;
  const code = outcome !== undefined && "code" in outcome ? ` ${outcome.code}` : "";
  const lease = w.leases.leaseViews(w.now).find((view) => view.device === "d");
  const wasFreed = w.write?.rows.some((row) => row.state === "free" && row.device === "d") ?? false;
  return `${told}${code}, ${lease?.state ?? (wasFreed ? "free" : "–")}`;
}
