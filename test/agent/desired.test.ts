import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Desired } from "../../agent/core/desired.ts";
import { Holds } from "../../agent/core/holds.ts";
import { Memory } from "../../agent/core/memory.ts";
import { Prefixes } from "../../agent/core/prefixes.ts";
import { limits } from "../../protocol/limits.ts";
import { at, ipv4Prefix, known, pool } from "./fixture.ts";

const drain = { sinceMs: 1 };
const one = "00000000-0000-4000-8000-000000000011";
const two = "00000000-0000-4000-8000-000000000012";

function update(set: Record<string, unknown>, remove: string[] = [], snapshot = false) {
  return { snapshot, set: new Map(Object.entries(set)), remove };
}

describe("the desired state", () => {
  test("a snapshot replaces everything, and names the sessions that are over", () => {
    const desired = new Desired();
    const spec = {
      epoch: 1,
      device: "00000000-0000-4000-8000-000000000002",
      user: "ana",
      pool: "a",
      wireguardKey: "W".repeat(43),
    };
    desired.apply(
      update({ "pool/a": pool(ipv4Prefix), [`session/${one}`]: spec, [`session/${two}`]: spec, drain }),
    );
    const result = desired.apply(update({ "pool/b": pool(), [`session/${two}`]: spec }, [], true));
    expect(result).toMatchObject({ is: "applied", sessions: { over: [one], snapshot: true } });
    expect([...desired.pools.keys()]).toEqual(["b"]);
    expect([...desired.sessions.keys()]).toEqual([two]);
    expect(desired.drain).toBeUndefined();
  });

  test.each<[key: string, value: unknown]>([
    ["pool/a", { ...pool(), leaseMinutes: 0 }],
    ["pool/a", pool("172.18.140.17/28")],
    ["pool", pool()],
    ["pool/a/b", pool()],
    [`pool/${"a".repeat(64)}`, pool()],
    ["drain/twice", drain],
    ["drain", { sinceMs: "now" }],
    ["connector", {}],
  ])("%s: %j is malformed, and nothing of its change is applied", (key, value) => {
    const desired = new Desired();
    expect(desired.apply(update({ "pool/good": pool(), [key]: value })).is).toBe("malformed");
    expect(desired.pools.size).toBe(0);
    expect(desired.takeUnsaved()).toBeUndefined();
  });

  test.each<[change: object, where: string]>([
    [{ ports: [{ from: 9, to: 8 }] }, "ports.0.to `from` must not be greater than `to`"],
    [{ ports: [{ from: 0, to: 0 }] }, "ports.0.from Too small: expected number to be >=1"],
    [{ ports: [{}] }, "ports.0.from Invalid input: expected number, received undefined"],
    [{ protocol: "icmp", ports: [{ from: 1, to: 2 }] }, "ports ports need protocol tcp or udp"],
    [
      { destination: { cidr: "10.0.0.5/8" } },
      "destination.cidr give 10.0.0.0/8: bits are set behind the length",
    ],
    [
      { destination: { cidr: "2001:db8::1/64" } },
      "destination.cidr give 2001:db8::/64: bits are set behind the length",
    ],
    [{ destination: { cidr: "10.0.0.5" } }, "destination.cidr give 10.0.0.5/32: the length is missing"],
    [
      { destination: { domain: "app.*.internal" } },
      "destination.domain a domain like *.example.internal, with * as its whole first label and nowhere else",
    ],
    [{ destination: {} }, "destination.cidr Invalid input: expected string, received undefined"],
  ])(
    "a service with %j is malformed, told by its field, and nothing of its change is applied",
    (change, where) => {
      const desired = new Desired();
      const good = {
        ...{ name: "web", destination: { cidr: "10.0.0.0/8" }, protocol: "tcp", ports: [] },
        ...{ serverInitiated: false, groups: ["staff"] },
      };
      const result = desired.apply(update({ "resource/good": good, "resource/web": { ...good, ...change } }));
      expect(result).toEqual({ is: "malformed", where: `resource/web: ${where}` });
      expect(desired.resources.size).toBe(0);
      expect(desired.takeUnsaved()).toBeUndefined();
    },
  );

  test("deltas do not pile up more than a map may have, and make room for one another", () => {
    const desired = new Desired();
    const many = (from: number, count: number) =>
      Object.fromEntries(Array.from({ length: count }, (_, i) => [`pool/p${from + i}`, pool()]));
    for (let from = 0; from < limits.entriesMax; from += 4_096) {
      expect(desired.apply(update(many(from, 4_096))).is).toBe("applied");
    }
    expect(desired.apply(update(many(0, 2))).is).toBe("applied");
    expect(desired.apply(update(many(limits.entriesMax, 1)))).toEqual({ is: "tooMany" });
    expect(desired.pools.size).toBe(limits.entriesMax);
    expect(desired.apply(update(many(limits.entriesMax, 1), ["pool/p0"])).is).toBe("applied");
  });

  test("what was saved by another version and cannot be read is left out and counted", () => {
    const desired = new Desired();
    const saved = new Map<string, unknown>([
      ["pool/a", pool()],
      ["pool/b", { old: true }],
      ["quota/a", 5],
    ]);
    expect(desired.restore(saved)).toEqual({ unreadable: 2 });
    expect([...desired.pools.keys()]).toEqual(["a"]);
    expect(desired.takeUnsaved()).toBeUndefined();
  });

  test("whatever is applied, and however often writing fails, the disk ends up with the same", () => {
    const name = fc.constantFrom("pool/a", "pool/b", "pool/c", "drain");
    const step = fc.record({
      set: fc.array(name, { maxLength: 3 }),
      remove: fc.array(name, { maxLength: 2 }),
      snapshot: fc.boolean(),
      writes: fc.boolean(),
      fails: fc.boolean(),
      minutes: fc.integer({ min: 1, max: 99 }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
        const desired = new Desired();
        const disk = new Map<string, unknown>();
        const write = (fails: boolean) => {
          const batch = desired.takeUnsaved();
          if (batch === undefined) return;
          if (fails) {
            desired.notSaved(batch);
            return;
          }
          if (batch.clear) disk.clear();
          for (const key of batch.remove) disk.delete(key);
          for (const [key, value] of batch.set) disk.set(key, value);
        };
        for (const { set, remove, snapshot, writes, fails, minutes } of steps) {
          const values = set.map((key) => [
            key,
            key === "drain" ? drain : { ...pool(), leaseMinutes: minutes },
          ]);
          const removed = snapshot ? [] : remove.filter((key) => !set.includes(key));
          desired.apply(update(Object.fromEntries(values), removed, snapshot));
          if (writes) write(fails);
        }
        write(false);
        const restored = new Desired();
        restored.restore(disk);
        expect([...restored.pools].sort()).toEqual([...desired.pools].sort());
        expect(restored.drain).toEqual(desired.drain);
      }),
    );
  });
});

describe("the memory", () => {
  const make = () => {
    const parts = { desired: new Desired(), prefixes: new Prefixes(), holds: new Holds() };
    const enrolment = { instanceSinceBoot: undefined };
    return { ...parts, memory: new Memory({ ...parts, enrolment, bootId: "boot" }) };
  };

  test("writes what changed, one write at a time, and again after a failure", () => {
    const { memory, holds } = make();
    expect(memory.next(at(0))).toBeUndefined();
    holds.set("cli", true, 5);
    const write = memory.next(at(1));
    expect(write).toMatchObject({ facts: [["drain", [{ reason: "cli", sinceMs: 5 }]]] });
    expect(memory.next(at(2))).toBeUndefined();
    memory.written(write?.effectId ?? 0, false, at(3));
    expect(memory.next(at(4))).toBeUndefined();
    expect(memory.nextDeadline()).toBe(5_003);
    const again = memory.next(at(5_003));
    expect(again).toMatchObject({ facts: [["drain", [{ reason: "cli", sinceMs: 5 }]]] });
    memory.written(again?.effectId ?? 0, true, at(5_004));
    expect(memory.next(at(5_005))).toBeUndefined();
  });

  test("a failed write of what has since been taken back wants nothing more", () => {
    const { memory, holds } = make();
    holds.set("cli", true, 5);
    const write = memory.next(at(0));
    memory.written(write?.effectId ?? 0, false, at(1));
    holds.set("cli", false, 6);
    expect(memory.next(at(5_001))).toBeUndefined();
    expect(memory.nextDeadline()).toBeUndefined();
  });

  test("a reading that found the same is not written again", () => {
    const { memory, prefixes } = make();
    const read = (ms: number) => {
      prefixes.demand();
      prefixes.take(prefixes.next(at(ms)) ?? 0, known(ipv4Prefix), at(ms));
      return memory.next(at(ms));
    };
    const first = read(0);
    expect(first?.facts).toMatchObject([["prefixes", { assigned: [ipv4Prefix], vanished: [] }]]);
    memory.written(first?.effectId ?? 0, true, at(1));
    expect(read(60_000)).toBeUndefined();
  });
});
