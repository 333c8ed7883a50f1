import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { PrefixReading } from "../../agent/core/ports.ts";
import { Prefixes } from "../../agent/core/prefixes.ts";
import type { Ipv6PoolMatch } from "../../protocol/specs.ts";
import { at, facts, ipv4Prefix, ipv6Prefix, known, pool, unknown } from "./fixture.ts";

class World {
  prefixes = new Prefixes();
  nowMs = 0;

  configure(ranges: readonly string[], match: Ipv6PoolMatch = "exact"): this {
    this.prefixes.configure(new Map([["pool1", pool(...ranges)]]), match);
    return this;
  }

  /** One reading, as if somebody had asked for it. */
  read(reading: PrefixReading, afterMs = 5_000): this {
    this.nowMs += afterMs;
    this.prefixes.demand();
    const effectId = this.prefixes.next(at(this.nowMs));
    if (effectId === undefined) throw new Error("no reading was asked for");
    this.prefixes.take(effectId, reading, at(this.nowMs));
    return this;
  }

  verdicts(): Record<string, string> {
    return Object.fromEntries(this.prefixes.rows(new Set()).map(({ prefix, verdict }) => [prefix, verdict]));
  }

  isVerified(range = ipv4Prefix): boolean {
    return this.prefixes.verified.has(range);
  }

  restart(): this {
    const { saved } = this.prefixes;
    this.prefixes = new Prefixes(saved);
    return this;
  }
}

/** Of one configured prefix: what is known of it, and what each kind of news does to that. */
type State = "unread" | "present" | "missedOnce" | "missedTwice" | "vanished" | "notAssigned";
type Input = "with" | "without" | "withoutTooSoon" | "unknown" | "restart";

const reach: Record<State, (world: World) => World> = {
  unread: (world) => world,
  present: (world) => world.read(known(ipv4Prefix)),
  missedOnce: (world) => reach.present(world).read(known()),
  missedTwice: (world) => reach.missedOnce(world).read(known()),
  vanished: (world) => reach.missedTwice(world).read(known()),
  notAssigned: (world) => world.read(known()),
};

const apply: Record<Input, (world: World) => World> = {
  with: (world) => world.read(known(ipv4Prefix)),
  without: (world) => world.read(known()),
  withoutTooSoon: (world) => world.read(known(), 100),
  unknown: (world) => world.read(unknown),
  restart: (world) => world.restart().configure([ipv4Prefix]),
};

type Expected = "ok" | "prefix.unread" | "prefix.vanishing" | "prefix.vanished" | "prefix.not-assigned";

const table: Record<State, Record<Input, Expected>> = {
  unread: {
    with: "ok",
    without: "prefix.not-assigned",
    withoutTooSoon: "prefix.not-assigned",
    unknown: "prefix.unread",
    restart: "prefix.unread",
  },
  present: {
    with: "ok",
    without: "prefix.vanishing",
    withoutTooSoon: "prefix.vanishing",
    unknown: "ok",
    restart: "ok",
  },
  missedOnce: {
    with: "ok",
    without: "prefix.vanishing",
    withoutTooSoon: "prefix.vanishing",
    unknown: "prefix.vanishing",
    restart: "ok",
  },
  missedTwice: {
    with: "ok",
    without: "prefix.vanished",
    withoutTooSoon: "prefix.vanishing",
    unknown: "prefix.vanishing",
    restart: "ok",
  },
  vanished: {
    with: "ok",
    without: "prefix.vanished",
    withoutTooSoon: "prefix.vanished",
    unknown: "prefix.vanished",
    restart: "prefix.vanished",
  },
  notAssigned: {
    with: "ok",
    without: "prefix.not-assigned",
    withoutTooSoon: "prefix.not-assigned",
    unknown: "prefix.not-assigned",
    restart: "prefix.not-assigned",
  },
};

describe.each(Object.entries(table) as [State, Record<Input, Expected>][])(
  "a prefix that is %s",
  (state, row) => {
    test.each(Object.entries(row) as [Input, Expected][])("after %s: %s", (input, expected) => {
      const world = apply[input](reach[state](new World().configure([ipv4Prefix])));
      expect(world.verdicts()).toEqual({ [ipv4Prefix]: expected });
      expect(world.isVerified()).toBe(expected === "ok" || expected === "prefix.vanishing");
    });
  },
);

test("flapping never loses a prefix", () => {
  const world = new World().configure([ipv4Prefix]).read(known(ipv4Prefix));
  for (let i = 0; i < 50; i++) {
    world.read(known()).read(known());
    expect(world.isVerified()).toBe(true);
    world.read(known(ipv4Prefix));
    expect(world.verdicts()).toEqual({ [ipv4Prefix]: "ok" });
  }
});

test("however readings come, a prefix is lost only after three known ones without it, each 5 s after the last that counted", () => {
  const step = fc.record({
    afterMs: fc.integer({ min: 0, max: 12_000 }),
    reading: fc.constantFrom<"with" | "without" | "unknown">("with", "without", "without", "unknown"),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const world = new World().configure([ipv4Prefix]).read(known(ipv4Prefix));
      let counted: number[] = [];
      for (const { afterMs, reading } of steps) {
        const isLost = counted.length >= 3;
        world.read(
          reading === "unknown" ? unknown : reading === "with" ? known(ipv4Prefix) : known(),
          afterMs,
        );
        if (reading === "with") counted = [];
        const last = counted.at(-1) ?? Number.NEGATIVE_INFINITY;
        if (reading === "without" && !isLost && world.nowMs - last >= 5_000) counted.push(world.nowMs);
        expect(world.isVerified()).toBe(counted.length < 3);
      }
    }),
  );
});

describe("when it reads", () => {
  test("at the start, then every 5 s while something is not settled, and not at all when it is", () => {
    const { prefixes } = new World().configure([ipv4Prefix]);
    expect(prefixes.nextDeadline()).toBe(0);
    prefixes.take(prefixes.next(at(0)) ?? 0, unknown, at(10));
    expect(prefixes.nextDeadline()).toBe(5_010);
    prefixes.take(prefixes.next(at(5_010)) ?? 0, known(ipv4Prefix), at(5_020));
    expect(prefixes.nextDeadline()).toBeUndefined();
    prefixes.demand();
    expect(prefixes.nextDeadline()).toBe(0);
    prefixes.take(prefixes.next(at(9_000)) ?? 0, known(), at(9_000));
    expect(prefixes.nextDeadline()).toBe(14_000);
  });

  test("one reading at a time; asked for meanwhile, the next follows at once", () => {
    const { prefixes } = new World().configure([ipv4Prefix]);
    const first = prefixes.next(at(0)) ?? 0;
    prefixes.demand();
    expect(prefixes.next(at(1))).toBeUndefined();
    expect(prefixes.nextDeadline()).toBeUndefined();
    prefixes.take(first, known(ipv4Prefix), at(2));
    expect(prefixes.next(at(2))).toBe(first + 1);
  });

  test("the result of another reading is dropped", () => {
    const { prefixes } = new World().configure([ipv4Prefix]);
    prefixes.take(99, known(ipv4Prefix), at(0));
    expect(prefixes.verified.size).toBe(0);
  });
});

describe("rules of a configured range", () => {
  test.each<
    [
      name: string,
      match: Ipv6PoolMatch,
      configured: string[],
      assigned: string[],
      expected: Record<string, string>,
    ]
  >([
    [
      "exactly what is assigned",
      "exact",
      [ipv4Prefix, ipv6Prefix],
      [ipv4Prefix, ipv6Prefix],
      { [ipv4Prefix]: "ok", [ipv6Prefix]: "ok" },
    ],
    [
      "host bits",
      "exact",
      ["172.18.140.17/28"],
      [ipv4Prefix],
      { "172.18.140.17/28": "prefix.host-bits", [ipv4Prefix]: "prefix.unused" },
    ],
    ["no prefix", "exact", ["172.18.140.16"], [], { "172.18.140.16": "prefix.malformed" }],
    ["a /27", "exact", ["172.18.140.0/27"], [], { "172.18.140.0/27": "prefix.length" }],
    [
      "a /29 inside an assigned /28",
      "within",
      ["172.18.140.16/29"],
      [ipv4Prefix],
      { "172.18.140.16/29": "prefix.length", [ipv4Prefix]: "prefix.unused" },
    ],
    [
      "a /81, exact",
      "exact",
      ["2600:1f18:2a89:703:275::/81"],
      [],
      { "2600:1f18:2a89:703:275::/81": "prefix.length" },
    ],
    [
      "a /79, within",
      "within",
      ["2600:1f18:2a89:703:274::/79"],
      [],
      { "2600:1f18:2a89:703:274::/79": "prefix.length" },
    ],
    [
      "a /124 inside an assigned /80, within",
      "within",
      ["2600:1f18:2a89:703:275::10/124"],
      [ipv6Prefix],
      { "2600:1f18:2a89:703:275::10/124": "ok" },
    ],
    [
      "a /124 inside an assigned /80, exact",
      "exact",
      ["2600:1f18:2a89:703:275::10/124"],
      [ipv6Prefix],
      { "2600:1f18:2a89:703:275::10/124": "prefix.length", [ipv6Prefix]: "prefix.unused" },
    ],
    [
      "a /124 inside no assigned /80",
      "within",
      ["2600:1f18:2a89:703:276::10/124"],
      [ipv6Prefix],
      { "2600:1f18:2a89:703:276::10/124": "prefix.not-assigned", [ipv6Prefix]: "prefix.unused" },
    ],
    ["twice", "exact", [ipv4Prefix, ipv4Prefix], [ipv4Prefix], { [ipv4Prefix]: "prefix.overlap" }],
    [
      "one inside the other",
      "within",
      [ipv6Prefix, "2600:1f18:2a89:703:275::10/124"],
      [ipv6Prefix],
      { [ipv6Prefix]: "prefix.overlap", "2600:1f18:2a89:703:275::10/124": "prefix.overlap" },
    ],
    [
      "outside the subnet",
      "exact",
      ["10.0.0.16/28", "2001:db8::/80"],
      [],
      { "10.0.0.16/28": "prefix.outside-subnet", "2001:db8::/80": "prefix.outside-subnet" },
    ],
    [
      "outside the subnet although IMDS says it is assigned",
      "exact",
      ["10.0.0.16/28"],
      ["10.0.0.16/28"],
      { "10.0.0.16/28": "prefix.outside-subnet" },
    ],
    ["assigned and not configured", "exact", [], [ipv4Prefix], { [ipv4Prefix]: "prefix.unused" }],
  ])("%s", (_name, match, configured, assigned, expected) => {
    const world = new World().configure(configured, match).read(known(...assigned));
    expect(world.verdicts()).toEqual(expected);
    const verified = Object.entries(expected).flatMap(([text, verdict]) => (verdict === "ok" ? [text] : []));
    expect([...world.prefixes.verified].sort()).toEqual(verified.sort());
    const problems = world.prefixes.problems().map(({ code, subject }) => [subject, code]);
    const wrong = Object.entries(expected).filter(([, verdict]) => verdict !== "ok");
    expect(Object.fromEntries(problems)).toEqual(Object.fromEntries(wrong));
  });

  test("a subnet without IPv6 blocks known judges no IPv6 prefix by them", () => {
    const reading = known(ipv6Prefix);
    if (reading.is === "unknown") throw new Error("known");
    const world = new World().configure([ipv6Prefix]);
    world.read({ ...reading, interface: { ...facts, subnetIpv6: [] } });
    expect(world.verdicts()).toEqual({ [ipv6Prefix]: "ok" });
  });

  test("the VPC's blocks are told as they were read last, over unknown readings and a restart", () => {
    const blocks = (...vpcCidrs: string[]): PrefixReading => {
      const reading = known(ipv4Prefix);
      if (reading.is === "unknown") throw new Error("known");
      return { ...reading, interface: { ...facts, vpcCidrs: vpcCidrs.length === 0 ? undefined : vpcCidrs } };
    };
    const world = new World().configure([ipv4Prefix]);
    expect(world.read(blocks()).prefixes.observed?.vpcCidrs).toBeUndefined();
    expect(world.read(blocks("10.0.0.0/16")).prefixes.observed?.vpcCidrs).toEqual(["10.0.0.0/16"]);
    world.read(unknown).restart().configure([ipv4Prefix]).read(unknown).read(blocks());
    expect(world.prefixes.observed?.vpcCidrs).toEqual(["10.0.0.0/16"]);
    expect(world.read(blocks("10.1.0.0/16")).prefixes.observed?.vpcCidrs).toEqual(["10.1.0.0/16"]);
  });

  test("within: when the /80 vanishes, so do the ranges inside it", () => {
    const range = "2600:1f18:2a89:703:275::10/124";
    const world = new World().configure([range], "within").read(known(ipv6Prefix));
    world.read(known()).read(known());
    expect(world.verdicts()).toEqual({ [range]: "prefix.vanishing" });
    world.read(known());
    expect(world.verdicts()).toEqual({ [range]: "prefix.vanished" });
    expect(world.read(known(ipv6Prefix)).verdicts()).toEqual({ [range]: "ok" });
  });

  test("a vanished range that is no longer configured is forgotten", () => {
    const world = new World().configure([ipv4Prefix]).read(known(ipv4Prefix));
    world.read(known()).read(known()).read(known()).configure([]).configure([ipv4Prefix]);
    expect(world.verdicts()).toEqual({ [ipv4Prefix]: "prefix.not-assigned" });
  });
});

test("the three-way comparison names pool, metadata service and data path", () => {
  const world = new World().configure([ipv4Prefix, "172.18.140.32/28"]).read(known(ipv4Prefix, ipv6Prefix));
  expect(world.prefixes.rows(undefined).map(({ dataPath }) => dataPath)).toEqual([
    "unknown",
    "unknown",
    "unknown",
  ]);
  expect(world.prefixes.rows(new Set([ipv4Prefix]))).toEqual([
    { prefix: ipv4Prefix, pool: "pool1", imds: "present", dataPath: "routed", verdict: "ok" },
    {
      prefix: "172.18.140.32/28",
      pool: "pool1",
      imds: "absent",
      dataPath: "absent",
      verdict: "prefix.not-assigned",
    },
    { prefix: ipv6Prefix, imds: "present", dataPath: "absent", verdict: "prefix.unused" },
  ]);
});
