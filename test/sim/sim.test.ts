import { expect, test } from "vitest";
import corpus from "./corpus.json" with { type: "json" };
import { run } from "./run.ts";
import { type Scenario, scenarioOf } from "./scenario.ts";
import { shapeOf } from "./shape.ts";
import { tellFinding } from "./tell.ts";

/** New worlds with every run of the tests, until this number of them or this time; `npm run sim` runs them for longer. */
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

function lives(scenario: Scenario): void {
  const { finding } = run(scenario);
  if (finding !== undefined) throw new Error(tellFinding(scenario), { cause: finding });
}
