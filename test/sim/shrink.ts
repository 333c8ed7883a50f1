import type { Finding } from "./finding.ts";
import { run } from "./run.ts";
import type { Scenario } from "./scenario.ts";

/** Leaves out events, first many at once, as long as the same invariant still fails. */
export function shrink(scenario: Scenario, finding: Finding, triesMax = 400): Scenario {
  let best = scenario;
  let tries = 0;
  const stillFails = (candidate: Scenario) => {
    tries += 1;
    return run(candidate).finding?.number === finding.number;
  };
  for (let size = Math.max(1, best.events.length >> 1); size >= 1; size >>= 1) {
    for (let from = 0; from < best.events.length && tries < triesMax; ) {
      const events = [...best.events.slice(0, from), ...best.events.slice(from + size)];
      const candidate = { ...best, events };
      if (stillFails(candidate)) best = candidate;
      else from += size;
    }
  }
  return best;
}
