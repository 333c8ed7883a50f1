import fc from "fast-check";
import { expect, test } from "vitest";
import { coolDownMs, LeaseWorld, pool, session } from "../support/lease-world.ts";

/**
 * Thousands of seeded lives: sessions come and go, ranges vanish and return, writes are slow, fail before or after the
 * durable point, processes die and hosts reboot. The oracle remembers every grant that was told, and nothing else.
 */
type Step =
  | { readonly do: "want"; readonly device: number; readonly newSession: boolean }
  | { readonly do: "raise" | "end" | "seen"; readonly session: number }
  | { readonly do: "stored" | "tick" | "snapshot" }
  | { readonly do: "storeFailed"; readonly reached: boolean }
  | { readonly do: "pass"; readonly ms: number }
  | { readonly do: "configure"; readonly pools: number; readonly unverified: number }
  | { readonly do: "clockStep"; readonly ms: number }
  | { readonly do: "crash"; readonly written: boolean; readonly rebootMs: number | undefined };

const ranges = ["10.0.0.0/30", "10.0.0.4/31", "2001:db8::/126", "2001:db8:1::/127"] as const;
const configurations = [
  new Map([["staff", pool(["10.0.0.0/30"], ["2001:db8::/126"])]]),
  new Map([["staff", pool(["10.0.0.0/30", "10.0.0.4/31"], ["2001:db8::/126", "2001:db8:1::/127"])]]),
  new Map([["staff", pool(["10.0.0.4/31", "10.0.0.0/30"], ["2001:db8::/126", "2001:db8:1::/127"])]]),
  new Map([
    ["staff", pool(["10.0.0.4/31"], [])],
    ["guests", pool(["10.0.0.0/30"], ["2001:db8::/126"])],
  ]),
];

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant("want" as const), device: fc.nat(9), newSession: fc.boolean() }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constantFrom("raise", "end", "seen"), session: fc.nat(9) }) },
  {
    weight: 8,
    arbitrary: fc.record({ do: fc.constantFrom("stored", "stored", "stored", "tick", "snapshot") }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("storeFailed" as const), reached: fc.boolean() }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant("pass" as const),
      ms: fc.constantFrom(300, 6_000, 130_000, 2_000_000),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("configure" as const), pools: fc.nat(3), unverified: fc.nat(15) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("clockStep" as const),
      ms: fc.constantFrom(-7_200_000, 7_200_000),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("crash" as const),
      written: fc.boolean(),
      rebootMs: fc.constantFrom(undefined, 20_000, 900_000),
    }),
  },
);

test("no address is granted twice and no told grant is forgotten, whatever fails", {
  timeout: 120_000,
}, () => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 10, maxLength: 120 }), (steps) => {
      const life = new Life();
      for (const next of steps) {
        life.step(next);
        life.check();
      }
      life.calm();
    }),
    { numRuns: Number(process.env.LEASE_RUNS ?? 4_000) },
  );
});

/** One world, what the controller wants of it, and what it was told. */
class Life {
  readonly #w = new LeaseWorld();
  readonly #wanted = new Map<string, ReturnType<typeof session>>();
  /** Epoch by session id, never lowered. */
  readonly #epochs = new Map<string, number>();
  /** When an address was last seen in the hands of a device, in a time that goes on over reboots. */
  readonly #lastUse = new Map<string, { device: string; atMs: number }>();
  #aliveMs = 0;

  constructor() {
    this.#w.configure(new Map(configurations[0]));
  }

  step(next: Step): void {
    const w = this.#w;
    switch (next.do) {
      case "want": {
        const id = `s${next.device}${next.newSession ? "n" : ""}`;
        this.#want(id, `d${next.device}`);
        break;
      }
      case "raise": {
        const id = `s${next.session}`;
        if (this.#wanted.has(id)) this.#want(id, `d${next.session}`);
        break;
      }
      case "end":
        this.#wanted.delete(`s${next.session}`);
        w.end(`s${next.session}`);
        break;
      case "seen":
        w.seen(`s${next.session}`);
        break;
      case "stored":
        w.stored();
        break;
      case "storeFailed":
        w.storeFailed("store.failing", next.reached);
        break;
      case "snapshot":
        w.snapshot([...this.#wanted]);
        break;
      case "tick":
        w.input({ kind: "tick" });
        break;
      case "pass":
        w.pass(next.ms);
        this.#aliveMs += next.ms;
        break;
      case "clockStep":
        w.now = { ...w.now, wallMs: w.now.wallMs + next.ms };
        break;
      case "configure":
        w.configure(
          new Map(configurations[next.pools]),
          ranges.filter((_, i) => next.unverified & (1 << i)),
        );
        break;
      case "crash":
        this.#crash(next);
    }
  }

  /** What must be true after every step. */
  check(): void {
    const { leases, disk } = this.#w;
    const seen = new Map<string, string>();
    for (const [id, wanted] of this.#wanted) {
      const outcome = leases.outcome(id);
      if (outcome?.outcome !== "granted") continue;
      expect(outcome.epoch).toBe(wanted.epoch);
      for (const address of [outcome.ipv4, outcome.ipv6]) {
        if (address === undefined) continue;
        expect(seen.get(address), `${address} is told to two sessions`).toBeUndefined();
        seen.set(address, id);
        this.#checkRested(address, wanted.device);
      }
      const row = [...disk.rows.values()].find(
        (kept) => kept.ipv4 === outcome.ipv4 && kept.ipv6 === outcome.ipv6,
      );
      expect(row, `the grant of ${id} is on disk`).toMatchObject({
        state: "leased",
        device: wanted.device,
        session: { id, epoch: wanted.epoch },
      });
    }
    for (const peer of leases.peers()) expect(seen.get(peer.ipv4 ?? "") ?? peer.session).toBe(peer.session);
    this.#checkPeers();
    for (const name of leases.poolNames()) {
      const counts = leases.counts(name);
      expect(Math.min(...Object.values(counts ?? {}))).toBeGreaterThanOrEqual(0);
      expect(counts?.total).toBe(
        (counts?.leased ?? 0) + (counts?.cooling ?? 0) + (counts?.quarantined ?? 0) + (counts?.free ?? 0),
      );
    }
  }

  /** They are followed as they change: nobody is forgotten, and nobody stays. */
  #checkPeers(): void {
    const { leases } = this.#w;
    const peers = new Map(leases.peers().map((peer) => [peer.session, peer]));
    expect(leases.peers().length).toBe(peers.size);
    const leased = new Map(leases.leaseViews({ monotonicMs: 0, wallMs: 0 }).map((view) => [view.ipv4, view]));
    for (const { ipv4, session } of peers.values()) {
      expect(leased.get(ipv4), `${session} is a peer`).toMatchObject({ state: "leased" });
    }
    for (const id of this.#wanted.keys()) {
      if (leases.outcome(id)?.outcome === "granted") expect(peers.get(id), `${id} is granted`).toBeDefined();
    }
  }

  /** When nothing fails any more, every session that can be served is, and every free address can be had. */
  calm(): void {
    const w = this.#w;
    w.configure(new Map(configurations[0]));
    w.snapshot([...this.#wanted]);
    w.live(6_000);
    w.settle();
    for (const id of this.#wanted.keys()) expect(w.leases.outcome(id), `${id} is decided`).toBeDefined();
    w.snapshot([]);
    w.live(coolDownMs + 1);
    w.settle();
    expect(w.leases.counts("staff")).toEqual({ total: 4, leased: 0, cooling: 0, quarantined: 0, free: 4 });
    w.want(...["x1", "x2", "x3", "x4"].map((id) => [id, session(`of ${id}`)] as const));
    w.settle();
    const told = ["x1", "x2", "x3", "x4"].map((id) => w.leases.outcome(id));
    expect(told.map((outcome) => outcome?.outcome)).toEqual(["granted", "granted", "granted", "granted"]);
  }

  /** Another device had it: then at least one cool-down ago. */
  #checkRested(address: string, device: string): void {
    const last = this.#lastUse.get(address);
    if (last !== undefined && last.device !== device) {
      expect(this.#aliveMs - last.atMs, `${address} has rested`).toBeGreaterThanOrEqual(coolDownMs);
    }
    this.#lastUse.set(address, { device, atMs: this.#aliveMs });
  }

  #want(id: string, device: string): void {
    const epoch = (this.#epochs.get(id) ?? 0) + 1;
    this.#epochs.set(id, epoch);
    const spec = session(device, epoch);
    this.#wanted.set(id, spec);
    this.#w.want([id, spec]);
  }

  #crash(crash: Extract<Step, { do: "crash" }>): void {
    const w = this.#w;
    const told = new Map([...this.#wanted].map(([id]) => [id, w.leases.outcome(id)] as const));
    if (crash.written && w.write !== undefined) w.disk.write(w.write);
    w.restart(crash.rebootMs);
    this.#aliveMs += crash.rebootMs ?? 0;
    w.snapshot([...this.#wanted], "disk");
    for (const [id, before] of told) {
      if (before?.outcome !== "granted" || crash.written) continue;
      expect(w.leases.outcome(id), `${id} is remembered`).toEqual(before);
    }
  }
}
