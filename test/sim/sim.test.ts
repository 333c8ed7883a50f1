import { expect, test } from "vitest";
import corpus from "./corpus.json" with { type: "json" };
import { checkGrowth } from "./growth.ts";
import { entriesOf } from "./reach.ts";
import { run } from "./run.ts";
import { type Scenario, scenarioOf } from "./scenario.ts";
import { shapeOf } from "./shape.ts";
import { tellFinding } from "./tell.ts";

/** Worlds beside those that once found something, up to this number or for this time; `npm run sim` makes others, for longer. */
const budget = { seeds: 300, ms: 10_000 };

test("one seed is one run, byte for byte", () => {
  const scenario = scenarioOf(shapeOf(7));
  const [one, other] = [run(scenario), run(scenario)];
  expect(one.digest).toBe(other.digest);
  expect(one.steps).toBe(other.steps);
  expect(run(scenarioOf(shapeOf(8))).digest).not.toBe(one.digest);
});

test.each(corpus)("found once, and stays away: $found", ({ shape, events, healAtMs }) => {
  lives({ shape, events, healAtMs } as Scenario);
});

test("whatever happens, every invariant holds", () => {
  const endMs = performance.now() + budget.ms;
  for (let seed = 1; seed <= budget.seeds && performance.now() < endMs; seed++) {
    lives(scenarioOf(shapeOf(seed)));
  }
}, 60_000);

test.each([1, 2, 3])("nothing grows while everything comes and goes (seed %i)", (seed) => {
  expect(checkGrowth(seed)).toBeGreaterThan(100);
});

test("what grows is seen, private or not", () => {
  class Leaky {
    readonly #kept: string[] = [];
    readonly #by = new Map<string, { readonly more: Set<number> }>([["a", { more: new Set([1, 2]) }]]);
    leak(): number {
      return this.#kept.push("more") + this.#by.size;
    }
  }
  const leaky = new Leaky();
  leaky.leak();
  leaky.leak();
  expect(entriesOf({ leaky })).toEqual(
    new Map([
      [".leaky.#by", 1],
      [".leaky.#by[].more", 2],
      [".leaky.#kept", 2],
    ]),
  );
});

function lives(scenario: Scenario): void {
  const { finding } = run(scenario);
  if (finding !== undefined) throw new Error(tellFinding(scenario), { cause: finding });
}
