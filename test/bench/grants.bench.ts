import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { openStore } from "../../agent/adapters/store.ts";
import { type LeaseEffect, type LeaseInput, Leases } from "../../agent/core/leases.ts";
import type { Store } from "../../agent/core/ports.ts";
import { createLogger } from "../../protocol/node/log.ts";
import type { SessionSpec } from "../../protocol/specs.ts";
import { temporaryFolder } from "../support/folder.ts";
import { type BenchResult, best, quantile, type Size, timed, workHash } from "./bench.ts";

const now = { monotonicMs: 1_000, wallMs: 1_800_000_000_000 };
const clock = { bootId: "boot", ...now };
const ranges = {
  ipv4: many(640, (i) => `10.${i >> 8}.${i & 255}.0/28`),
  ipv6: many(1, () => "2001:db8::/80"),
};

/**
 * Durable grants a second, as sessions arrive alone, by the hundred, and ten thousand at once, through the core and a real
 * SQLite file. Against the same without a disk, and against one commit per grant into a plain table.
 */
export async function run(size: Size): Promise<BenchResult> {
  const arriving = size === "full" ? 10_000 : 200;
  const alone = size === "full" ? 2_000 : 50;
  const sessions = many(arriving, session);
  const told: string[] = [];
  const perSecond = (batch: number, count: number, storing: boolean): number => {
    let outcome = "";
    const ms = best(size === "full" ? 5 : 1, () => {
      using agent = smallAgent(storing);
      const batches = many(Math.ceil(count / batch), (i) =>
        sessions.slice(i * batch, Math.min(count, (i + 1) * batch)),
      );
      const spent = timed(() => {
        for (const set of batches) agent.grant(set);
      });
      outcome = agent.told(sessions.slice(0, count));
      return spent;
    });
    told.push(outcome);
    return (count / ms) * 1_000;
  };
  const naive = Math.max(...many(size === "full" ? 5 : 1, () => naivePerSecond(sessions.slice(0, alone))));
  const single = singleGrants(sessions.slice(0, alone));
  const against = "one commit per grant into a plain table";
  return {
    rows: [
      { what: against, value: naive, unit: "grants/s" },
      { what: "durable, one at a time", value: perSecond(1, alone, true), unit: "grants/s", against },
      { what: "durable, 100 at once", value: perSecond(100, arriving, true), unit: "grants/s", against },
      {
        what: `durable, ${arriving} at once`,
        value: perSecond(arriving, arriving, true),
        unit: "grants/s",
        against,
        budget: { atLeast: 100_000 },
      },
      {
        what: `without a disk, ${arriving} at once`,
        value: perSecond(arriving, arriving, false),
        unit: "grants/s",
        against,
      },
      { what: "one durable grant, median", value: quantile(single, 0.5), unit: "ms" },
      { what: "one durable grant, p99", value: quantile(single, 0.99), unit: "ms", budget: { atMost: 2 } },
    ],
    work: workHash(told),
  };
}

interface SmallAgent extends Disposable {
  grant(set: readonly (readonly [string, SessionSpec])[]): void;
  told(set: readonly (readonly [string, SessionSpec])[]): string;
}

/** The turn of the real agent around the lease core: one commit for everything a turn wants, then the results. */
function smallAgent(storing: boolean): SmallAgent {
  const folder = temporaryFolder();
  const log = createLogger({ name: "bench", level: "silent" });
  const opened = storing ? openStore(join(folder.path, "agent.db"), { log }) : undefined;
  const store = opened?.store;
  const leases = new Leases(
    { saved: { leases: [], clock: undefined, lostTo: undefined }, bootId: "boot" },
    now,
  );
  const pool = { group: "staff", leaseMinutes: 1440, ...ranges };
  const turn = (input: LeaseInput) => {
    for (let inputs: LeaseInput[] = [input]; inputs.length > 0; ) {
      const effects = inputs.flatMap((next) => leases.handle(next, now));
      inputs = effects.filter((effect) => effect.do === "store").map((effect) => write(store, effect));
    }
  };
  turn({
    kind: "ranges",
    pools: new Map([["staff", pool]]),
    verified: new Set([...ranges.ipv4, ...ranges.ipv6]),
  });
  return {
    grant: (set) => turn({ kind: "sessions", from: "controller", snapshot: false, set, over: [] }),
    told: (set) => workHash(set.map(([id]) => leases.outcome(id))),
    [Symbol.dispose]() {
      store?.[Symbol.dispose]();
      folder[Symbol.dispose]();
    },
  };
}

function write(store: Store | undefined, effect: Extract<LeaseEffect, { do: "store" }>): LeaseInput {
  const desired = { clear: false, set: [], remove: [] };
  const { rows: leases, forgotten, recovered, effectId } = effect;
  const result = store?.commit({ leases, forgotten, desired, facts: [], recovered }, clock);
  if (result?.ok === false) throw result.failure;
  return { kind: "stored", effectId };
}

/** Each grant's time from the input to its outcome. */
function singleGrants(sessions: readonly (readonly [string, SessionSpec])[]): number[] {
  using agent = smallAgent(true);
  return sessions.map((session) => timed(() => agent.grant([session])));
}

/** What one would write first: a counter, a table on the same terms as the real one, one commit per grant. */
function naivePerSecond(sessions: readonly (readonly [string, SessionSpec])[]): number {
  using folder = temporaryFolder();
  using database = new DatabaseSync(join(folder.path, "naive.db"));
  database.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL");
  database.exec("CREATE TABLE lease (device TEXT PRIMARY KEY, address TEXT UNIQUE, until INTEGER)");
  const insert = database.prepare("INSERT INTO lease VALUES (?, ?, ?)");
  const ms = timed(() => {
    for (const [i, [, { device }]] of sessions.entries()) {
      insert.run(device, `10.0.${i >> 8}.${i & 255}`, now.wallMs);
    }
  });
  return (sessions.length / ms) * 1_000;
}

function session(i: number): readonly [string, SessionSpec] {
  const id = `${i.toString(16).padStart(8, "0")}-0000-4000-8000-000000000000`;
  const device = `${i.toString(16).padStart(8, "0")}-1111-4000-8000-000000000000`;
  return [
    id,
    { epoch: 1, device, user: `user${i}@example.com`, pool: "staff", wireguardKey: "A".repeat(43) },
  ];
}

function many<T>(count: number, make: (i: number) => T): T[] {
  return Array.from({ length: count }, (_, i) => make(i));
}
