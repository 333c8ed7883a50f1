import { invariants } from "./finding.ts";
import { run } from "./run.ts";
import type { Scenario } from "./scenario.ts";
import { shrink } from "./shrink.ts";

/** A finding in words: the seed, what does not hold, the events it takes, and what was said last. */
export function tellFinding(scenario: Scenario): string {
  const { seed } = scenario.shape;
  const { finding, atMs } = run(scenario);
  if (finding === undefined) return `seed ${seed} holds, and did not: one seed is not one run`;
  const shrunk = shrink(scenario, finding);
  const again = run(shrunk, true);
  const seconds = (atMs / 1000).toFixed(3);
  return [
    `seed ${seed}, after ${seconds} s: ${finding.message}`,
    `${finding.number}: ${invariants[finding.number]}`,
    `shape ${JSON.stringify(scenario.shape)}`,
    `it takes ${shrunk.events.length} of ${scenario.events.length} events; healed at ${shrunk.healAtMs} ms:`,
    ...shrunk.events.map((event) => `  ${JSON.stringify(event)}`),
    `then, after ${(again.atMs / 1000).toFixed(3)} s: ${again.finding?.message}`,
    ...again.trace
      .filter((line) => !isChatter(line))
      .slice(-40)
      .map((line) => `  ${short(line).slice(0, 400)}`),
    `for corpus.json: ${JSON.stringify({ found: "", ...shrunk })}`,
    `the whole of it: npm run sim -- --seed ${seed} --trace`,
  ].join("\n");
}

/** What goes to and fro without a meaning for what was found. */
function isChatter(line: string): boolean {
  const isReading = /"set":\[\["prefixes",\{[^}]*\}\]\],"remove":\[\]/.test(line);
  return isReading || /"type":"(ping|pong|ack)"/.test(line);
}

/** Ids count up, and keys are padded: the end of either says which it is. */
function short(line: string): string {
  return line
    .replaceAll("00000000-0000-4000-8000-", "")
    .replaceAll(/_{4,}A/g, "")
    .replaceAll(/,?"signature":"[^"]*"/g, "");
}
