import fc from "fast-check";
import { expect, test } from "vitest";
import { Deadlines } from "../../agent/core/lease-deadlines.ts";
import { LeaseQueue, type Queued } from "../../agent/core/lease-queue.ts";

const member = fc.nat(30);

test("deadlines come due in order, whatever is set, moved and removed between", () => {
  const step = fc.oneof(
    fc.record({ do: fc.constant("set" as const), member, atMs: fc.nat(100) }),
    fc.record({ do: fc.constant("delete" as const), member }),
    fc.record({ do: fc.constant("take" as const), nowMs: fc.nat(100) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const members = Array.from({ length: 31 }, (_, id) => ({ id, dueAtMs: 0, duePosition: -1 }));
      const deadlines = new Deadlines<(typeof members)[number]>();
      const naive = new Map<number, number>();
      for (const next of steps) {
        const chosen = "member" in next ? members[next.member] : undefined;
        if (next.do === "set" && chosen !== undefined) {
          deadlines.set(chosen, next.atMs);
          naive.set(chosen.id, next.atMs);
        } else if (next.do === "delete" && chosen !== undefined) {
          deadlines.delete(chosen);
          naive.delete(chosen.id);
        } else if (next.do === "take") {
          const taken = deadlines.takeDue(next.nowMs);
          const first = Math.min(...naive.values());
          expect(taken === undefined ? undefined : naive.get(taken.id)).toBe(
            first <= next.nowMs ? first : undefined,
          );
          if (taken !== undefined) naive.delete(taken.id);
        }
        expect(deadlines.next()).toBe(naive.size === 0 ? undefined : Math.min(...naive.values()));
      }
    }),
  );
});

interface Item extends Queued<Item> {
  readonly row: { readonly order: number };
}

test("what is put back into the queue stands where it was", () => {
  fc.assert(
    fc.property(fc.nat(40), fc.array(fc.nat(40)), (length, picks) => {
      const queue = new LeaseQueue<Item>();
      const items = Array.from({ length }, (_, order): Item => {
        return { older: undefined, newer: undefined, queued: false, row: { order } };
      });
      for (const item of items) queue.append(item);
      const removed = new Set(picks.map((pick) => items[pick]).filter((item) => item !== undefined));
      for (const item of removed) queue.remove(item);
      expect(queue.length).toBe(length - removed.size);
      queue.restore([...removed]);
      const found: number[] = [];
      for (let item = queue.oldest(); item !== undefined; item = item.newer) found.push(item.row.order);
      expect(found).toEqual(items.map((item) => item.row.order));
    }),
  );
});
