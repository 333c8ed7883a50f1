/**
 * Runs worlds until the time is over or an invariant fails: `npm run sim -- --minutes 5`. One seed is one world, the same
 * each time: `npm run sim -- --seed 42 --trace` runs that one and prints what happened.
 */
import { parseArgs } from "node:util";
import { Finding } from "./finding.ts";
import { checkGrowth } from "./growth.ts";
import { run } from "./run.ts";
import { scenarioOf } from "./scenario.ts";
import { shapeOf } from "./shape.ts";
import { tellFinding } from "./tell.ts";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "1" },
    /** The first seed; with `--count` so many from there on. */
    seed: { type: "string", default: "1" },
    count: { type: "string" },
    /** Go on after a finding, and count them. */
    all: { type: "boolean", default: false },
    trace: { type: "boolean", default: false },
  },
});

/** It takes as long as twenty others. */
const growthEvery = 200;

const first = Number(values.seed);
const count = values.trace ? 1 : Number(values.count ?? Number.POSITIVE_INFINITY);
const endMs = performance.now() + Number(values.minutes) * 60_000;
const found = new Map<string, number[]>();
const begun = process.cpuUsage();
let seed = first;
let steps = 0;
let simulatedMs = 0;
for (; seed < first + count && performance.now() < endMs; seed++) {
  if (seed % growthEvery === 0) grow(seed);
  const scenario = scenarioOf(shapeOf(seed));
  const outcome = run(scenario, values.trace);
  steps += outcome.steps;
  simulatedMs += outcome.simulatedMs;
  for (const line of outcome.trace) console.log(line);
  if (outcome.finding === undefined) continue;
  process.exitCode = 1;
  if (values.all) {
    console.log(`seed ${seed}: ${outcome.finding.message.slice(0, 300)}`);
    const name = outcome.finding.message.slice(0, 60);
    found.set(name, [...(found.get(name) ?? []), seed]);
    continue;
  }
  console.log(tellFinding(scenario));
  break;
}
// What other work on the machine takes is not counted.
const { user, system } = process.cpuUsage(begun);
const tookMs = (user + system) / 1_000;
for (const [name, seeds] of found) console.log(`${seeds.length} × ${name}: ${seeds.slice(0, 12).join(" ")}`);
const ran = Math.max(1, seed - first);
console.log(
  `${ran} seeds in ${(tookMs / 1000).toFixed(1)} s of processor time: ${Math.round((ran / tookMs) * 60_000)} a minute, ` +
    `${Math.round(steps / ran)} events and ${Math.round(simulatedMs / ran / 1000)} s simulated per seed`,
);

/** Invariant 14 at length. There are no events to leave out: what has grown says where to look. */
function grow(seed: number): void {
  try {
    checkGrowth(seed);
  } catch (error) {
    if (!(error instanceof Finding)) throw error;
    process.exitCode = 1;
    console.log(error.message);
  }
}
