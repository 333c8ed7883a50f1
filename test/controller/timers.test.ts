import fc from "fast-check";
import { expect, test } from "vitest";
import { Timers } from "../../controller/core/timers.ts";

const step = fc.oneof(
  fc.record({ do: fc.constant("set" as const), key: fc.nat(9), inMs: fc.nat(400) }),
  fc.record({ do: fc.constant("delete" as const), key: fc.nat(9), inMs: fc.constant(0) }),
  fc.record({ do: fc.constant("pass" as const), key: fc.constant(0), inMs: fc.nat(300) }),
);

test("each key is due once, at its last deadline kept to the next step, as a plain map says", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const timers = new Timers(50);
      const model = new Map<string, number>();
      let nowMs = 0;
      for (const { do: what, key, inMs } of steps) {
        const name = `k${key}`;
        if (what === "set") {
          timers.set(name, nowMs + inMs);
          model.set(name, Math.ceil((nowMs + inMs) / 50) * 50);
        } else if (what === "delete") {
          timers.delete(name);
          model.delete(name);
        } else {
          nowMs += inMs;
          const due = [...model].filter(([, atMs]) => atMs <= nowMs).map(([one]) => one);
          for (const one of due) model.delete(one);
          expect(timers.take(nowMs).toSorted()).toEqual(due.toSorted());
        }
        expect(timers.next()).toBe(model.size === 0 ? undefined : Math.min(...model.values()));
        expect(timers.has(name)).toBe(model.has(name));
      }
    }),
  );
});
