import fc from "fast-check";
import { expect, test } from "vitest";
import { Deadlines } from "../../agent/core/lease-deadlines.ts";
import { LeaseQueue, type Queued } from "../../agent/core/lease-queue.ts";

const member = fc.nat(30);

type Step =
  | { readonly do: "set"; readonly member: number; readonly atMs: number }
  | { readonly do: "delete"; readonly member: number }
  | { readonly do: "take"; readonly nowMs: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ do: fc.constant("set" as const), member, atMs: fc.nat(100) }),
  fc.record({ do: fc.constant("delete" as const), member }),
  fc.record({ do: fc.constant("take" as const), nowMs: fc.nat(100) }),
);

test("deadlines come due in order, whatever is set, moved and removed between", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const both = new Both();
      for (const next of steps) {
        both.step(next);
        expect(both.heap.next()).toBe(both.first());
      }
    }),
  );
});

/** The heap, and a map that is scanned. */
class Both {
  readonly #members = Array.from({ length: 31 }, (_, id) => ({ id, dueAtMs: 0, duePosition: -1 }));
  readonly heap = new Deadlines<{ id: number; dueAtMs: number; duePosition: number }>();
  readonly #naive = new Map<number, number>();

  first(): number | undefined {
    return this.#naive.size === 0 ? undefined : Math.min(...this.#naive.values());
  }

  step(next: Step): void {
    const chosen = next.do === "take" ? undefined : this.#members[next.member];
    if (next.do === "take") {
      const first = this.first() ?? Number.POSITIVE_INFINITY;
      const taken = this.heap.takeDue(next.nowMs);
      expect(this.#naive.get(taken?.id ?? -1)).toBe(first <= next.nowMs ? first : undefined);
      this.#naive.delete(taken?.id ?? -1);
    } else if (chosen !== undefined && next.do === "set") {
      this.heap.set(chosen, next.atMs);
      this.#naive.set(chosen.id, next.atMs);
    } else if (chosen !== undefined) {
      this.heap.delete(chosen);
      this.#naive.delete(chosen.id);
    }
  }
}

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
