import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Fleet } from "../../controller/core/fleet.ts";
import { Model } from "../../controller/core/model.ts";
import { Placement } from "../../controller/core/placement.ts";
import { put } from "../../controller/core/rows.ts";
import { connectorInput } from "./peers.ts";
import { attachedRow, instanceRow, reportActive } from "./placement-world.ts";

/** Sessions of some groups that need a place at once, and what each instance has for each group. */
interface Problem {
  /** By group, how many ask. */
  readonly demand: readonly number[];
  /** By instance. */
  readonly load: readonly number[];
  /** By instance and group: undefined where the group has no range. */
  readonly free: readonly (readonly (number | undefined)[])[];
}

interface Outcome {
  readonly placed: number;
  readonly loads: readonly number[];
}

function place({ demand, load, free }: Problem, inOrder: boolean): Outcome {
  const model = new Model();
  const fleet = new Fleet();
  const groups = demand.map((_, g) => ({ group: `g${g}`, pool: `p${g}`, leaseMinutes: 1440 }));
  const { userIpManagement: _, ...connector } = connectorInput({ groups });
  model.apply(put("connector", { ...connector, createdAtMs: 0 }));
  load.forEach((sessions, i) => {
    const pools = Object.fromEntries(
      (free[i] ?? []).flatMap((count, g) => (count === undefined ? [] : [[`p${g}`, count]])),
    );
    model.apply(put("instance", instanceRow(`i${i}`, Object.keys(pools))));
    for (let n = 0; n < sessions; n++) model.apply(put("session", attachedRow(`i${i}-${n}`, `i${i}`)));
    reportActive(fleet, `i${i}`, pools);
  });
  const placement = new Placement(model, fleet, 0);
  const loads = [...load];
  let placed = 0;
  const names = demand.map((_, g) => `g${g}`);
  for (const group of inOrder ? placement.inOrder(names) : names) {
    for (let n = 0; n < (demand[Number(group.slice(1))] ?? 0); n++) {
      const taken = placement.take({ group });
      if (typeof taken === "string") continue;
      const i = Number(taken.instance.slice(1));
      loads[i] = (loads[i] ?? 0) + 1;
      placed += 1;
    }
  }
  return { placed, loads };
}

/** All ways to serve as many as can be: the lowest peak, and the lowest sum of squares. */
function best({ demand, load, free }: Problem): { placed: number; peak: number; squares: number } {
  let found = { placed: -1, peak: 0, squares: 0 };
  const loads = [...load];
  const assign = (g: number, i: number, left: number, placed: number): void => {
    if (g === demand.length) {
      const peak = Math.max(...loads);
      const squares = squaresOf(loads);
      const isBetter = placed > found.placed || (placed === found.placed && squares < found.squares);
      if (isBetter) found = { placed, peak, squares };
      return;
    }
    if (i === loads.length) {
      assign(g + 1, 0, demand[g + 1] ?? 0, placed);
      return;
    }
    for (let n = 0; n <= Math.min(left, free[i]?.[g] ?? 0); n++) {
      loads[i] = (loads[i] ?? 0) + n;
      assign(g, i + 1, left - n, placed + n);
      loads[i] = (loads[i] ?? 0) - n;
    }
  };
  assign(0, 0, demand[0] ?? 0, 0);
  return found;
}

const squaresOf = (loads: readonly number[]) => loads.reduce((sum, load) => sum + load * load, 0);

const problem = fc.integer({ min: 1, max: 4 }).chain((instances) =>
  fc.integer({ min: 1, max: 3 }).chain((groups) =>
    fc.record({
      demand: fc.array(fc.nat(5), { minLength: groups, maxLength: groups }),
      load: fc.array(fc.nat(4), { minLength: instances, maxLength: instances }),
      free: fc.array(
        fc.array(fc.option(fc.nat(5), { nil: undefined }), { minLength: groups, maxLength: groups }),
        { minLength: instances, maxLength: instances },
      ),
    }),
  ),
) as fc.Arbitrary<Problem>;

/** The first group may go to the first instances, the next to more of them, and there is room everywhere. */
const nested = fc.integer({ min: 1, max: 4 }).chain((instances) =>
  fc.record({
    widths: fc.array(fc.integer({ min: 1, max: instances }), { minLength: 1, maxLength: 3 }),
    demand: fc.array(fc.nat(5), { minLength: 3, maxLength: 3 }),
    load: fc.array(fc.nat(4), { minLength: instances, maxLength: instances }),
  }),
);

describe("groups that ask in one pass", () => {
  test("are served as far as there are addresses, in whatever order", () => {
    fc.assert(
      fc.property(problem, fc.boolean(), (asked, inOrder) => {
        expect(place(asked, inOrder).placed).toBe(best(asked).placed);
      }),
      { numRuns: 500 },
    );
  });

  test("that may go where others may, too, leave the load as even as can be", () => {
    fc.assert(
      fc.property(nested, ({ widths, demand, load }) => {
        const free = load.map((_, i) => widths.map((width) => (i < width ? 20 : undefined)));
        const asked = { demand: demand.slice(0, widths.length), load, free };
        expect(squaresOf(place(asked, true).loads)).toBe(best(asked).squares);
      }),
      { numRuns: 500 },
    );
  });

  test("one that may go anywhere does not load the only instance of another", () => {
    const asked = {
      demand: [2, 2],
      load: [0, 0],
      free: [
        [9, 9],
        [9, undefined],
      ],
    };
    expect(place(asked, true).loads).toEqual([2, 2]);
    expect(place(asked, false).loads).toEqual([3, 1]);
  });

  test("in general come near the best: almost always there, never more than two above its peak", () => {
    const of = (inOrder: boolean) => {
      const gaps: number[] = [];
      let even = 0;
      const look = fc.property(problem, (asked) => {
        const { loads } = place(asked, inOrder);
        const { peak, squares } = best(asked);
        gaps.push(Math.max(...loads) - peak);
        if (squaresOf(loads) === squares) even += 1;
      });
      fc.assert(look, { numRuns: 2_000, seed: 7 });
      return { even: even / gaps.length, worst: Math.max(...gaps) };
    };
    const ordered = of(true);
    expect(ordered.even).toBeGreaterThan(0.97);
    expect(ordered.worst).toBeLessThanOrEqual(2);
    expect(of(false).even, "the order is worth its while").toBeLessThan(ordered.even);
  });
});
