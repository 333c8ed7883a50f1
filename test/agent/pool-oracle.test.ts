import fc from "fast-check";
import { expect, test } from "vitest";
import { coolDownMs, LeaseWorld, pool, session } from "../support/lease-world.ts";

/**
 * The allocator against one that is too simple to be wrong: arrays, scans and sorting. Sessions come and go, ranges are
 * reordered, vanish and return, processes restart; both must grant the same addresses at every step.
 */
type Step =
  | { readonly do: "want" | "end"; readonly device: number }
  | { readonly do: "pass"; readonly ms: number }
  | { readonly do: "configure"; readonly layout: number; readonly unverified: number }
  | { readonly do: "restart" };

interface Layout {
  readonly ipv4: readonly string[];
  readonly ipv6: readonly string[];
}
const layouts: readonly Layout[] = [
  { ipv4: ["10.0.0.0/31", "10.0.0.8/30"], ipv6: [] },
  { ipv4: [], ipv6: ["2001:db8::/127", "2001:db8:0:1::/126"] },
  { ipv4: ["10.0.0.0/31", "10.0.0.8/30"], ipv6: ["2001:db8::/127", "2001:db8:0:1::/126"] },
];

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constantFrom("want", "end"), device: fc.nat(8) }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant("pass" as const), ms: fc.constantFrom(1_000, 100_000, 250_000) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("configure" as const), layout: fc.nat(1), unverified: fc.nat(3) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("restart" as const) }) },
);

for (const [i, layout] of layouts.entries()) {
  test(`grants what the naive allocator grants: ${["IPv4", "IPv6", "dual stack"][i]}`, () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => run(layout, steps)),
      { numRuns: 600 },
    );
  });
}

function run(layout: Layout, steps: readonly Step[]): void {
  const w = new LeaseWorld();
  const naive = new Naive();
  const specs = new Map<string, ReturnType<typeof session>>();
  const configure = (reversed: boolean, unverified: number) => {
    const ipv4 = reversed ? layout.ipv4.toReversed() : layout.ipv4;
    const ipv6 = reversed ? layout.ipv6.toReversed() : layout.ipv6;
    const gone = [...layout.ipv4, ...layout.ipv6].filter((_, at) => unverified & (1 << at));
    w.configure(new Map([["staff", pool(ipv4, ipv6, 43_200)]]), gone);
    w.settle();
    naive.configure({ ipv4, ipv6 }, gone);
  };
  configure(false, 0);
  for (const next of steps) {
    switch (next.do) {
      case "want": {
        const device = `d${next.device}`;
        if (specs.has(device)) break;
        specs.set(device, session(device));
        w.want([device, session(device)]);
        w.settle();
        naive.want(device);
        break;
      }
      case "end":
        specs.delete(`d${next.device}`);
        w.end(`d${next.device}`);
        w.settle();
        naive.end(`d${next.device}`);
        break;
      case "pass":
        w.live(next.ms);
        naive.pass(next.ms);
        break;
      case "configure":
        // Paired ranges are only reordered together here: other pairings have tests of their own.
        configure(
          next.layout === 1,
          layout.ipv6.length > 0 && layout.ipv4.length > 0 ? next.unverified * 5 : next.unverified,
        );
        break;
      case "restart":
        w.restart();
        w.snapshot([...specs], "disk");
        w.settle();
    }
    w.live(0);
    for (const device of specs.keys())
      expect([device, toldBy(w, device)]).toEqual([device, naive.told(device)]);
    expect(w.leases.counts("staff")?.free).toBe(naive.free());
  }
}

function toldBy(w: LeaseWorld, id: string): string {
  const outcome = w.leases.outcome(id);
  if (outcome?.outcome === "granted") return `${outcome.ipv4 ?? ""}|${outcome.ipv6 ?? ""}`;
  return outcome === undefined ? "nothing" : outcome.code;
}

interface NaiveSlot {
  readonly pair: string;
  verified: boolean;
  at: number;
  device: string;
  state: "never used" | "leased" | "cooling" | "free";
  endsAtMs: number;
  /** When it was last used up; the lowest has rested longest. */
  order: number;
}

class Naive {
  #slots: NaiveSlot[] = [];
  #waiting: string[] = [];
  #nowMs = 0;
  #order = 0;

  configure(layout: Layout, gone: readonly string[]): void {
    const dual = layout.ipv4.length > 0 && layout.ipv6.length > 0;
    const ipv4 = layout.ipv4.flatMap((range) => addresses(range, gone));
    const ipv6 = layout.ipv6.flatMap((range) => addresses(range, gone));
    const count = dual ? Math.min(ipv4.length, ipv6.length) : Math.max(ipv4.length, ipv6.length);
    this.#slots = Array.from({ length: count }, (_, at) => {
      const pair = `${ipv4[at]?.text ?? ""}|${ipv6[at]?.text ?? ""}`;
      const verified = (ipv4[at]?.verified ?? true) && (ipv6[at]?.verified ?? true);
      const known = this.#slots.find((slot) => slot.pair === pair);
      const unused = { device: "", state: "never used" as const, endsAtMs: 0, order: 0 };
      return { ...(known ?? unused), pair, verified, at };
    });
    this.pass(0);
  }

  want(device: string): void {
    const usable = this.#slots.filter((slot) => slot.verified);
    const own = this.#slots
      .filter((slot) => slot.device === device && slot.state !== "never used")
      .toSorted((a, b) => this.#lastHeld(b) - this.#lastHeld(a))[0];
    const former = own?.verified ? own : undefined;
    const fresh = usable.find((slot) => slot.state === "never used");
    const oldest = usable.filter((slot) => slot.state === "free").toSorted((a, b) => a.order - b.order)[0];
    const slot = former ?? fresh ?? oldest;
    if (slot === undefined) {
      if (!this.#waiting.includes(device)) this.#waiting.push(device);
      return;
    }
    this.#waiting = this.#waiting.filter((other) => other !== device);
    slot.device = device;
    slot.state = "leased";
    this.#held.set(slot.pair, ++this.#order);
  }

  end(device: string): void {
    this.#waiting = this.#waiting.filter((other) => other !== device);
    for (const slot of this.#slots) {
      if (slot.device !== device || slot.state !== "leased") continue;
      slot.state = "cooling";
      slot.endsAtMs = this.#nowMs + coolDownMs;
      slot.order = ++this.#order;
    }
  }

  pass(ms: number): void {
    const endMs = this.#nowMs + ms;
    for (;;) {
      for (const device of [...this.#waiting]) this.want(device);
      const due = this.#slots
        .filter((slot) => slot.state === "cooling" && slot.verified && slot.endsAtMs <= endMs)
        .toSorted((a, b) => a.endsAtMs - b.endsAtMs || a.order - b.order)[0];
      if (due === undefined) break;
      this.#nowMs = Math.max(this.#nowMs, due.endsAtMs);
      due.state = "free";
      due.order = ++this.#order;
    }
    this.#nowMs = endMs;
  }

  told(device: string): string {
    const slot = this.#slots.find((other) => other.device === device && other.state === "leased");
    if (slot !== undefined) return slot.verified ? slot.pair : "lease.quarantined";
    return this.#slots.some((other) => other.verified) ? "pool.full" : "pool.unverified";
  }

  free(): number {
    return this.#slots.filter((slot) => slot.verified && slot.state !== "leased" && slot.state !== "cooling")
      .length;
  }

  readonly #held = new Map<string, number>();
  #lastHeld(slot: NaiveSlot): number {
    return this.#held.get(slot.pair) ?? 0;
  }
}

/** Every address of a range, by counting in its last part. */
function addresses(range: string, gone: readonly string[]): { text: string; verified: boolean }[] {
  const [first = "", length = ""] = range.split("/");
  const isIpv6 = first.includes(":");
  const count = 2 ** ((isIpv6 ? 128 : 32) - Number(length));
  const separator = isIpv6 ? ":" : ".";
  const parts = first.split(separator);
  const start = Number(parts.pop() || "0");
  return Array.from({ length: count }, (_, i) => {
    const last = isIpv6 && start + i === 0 ? "" : String(start + i);
    return { text: [...parts, last].join(separator), verified: !gone.includes(range) };
  });
}
