/** Runs worlds until the time is over or an invariant fails: `npm run sim -- --help`. */
import yargs from "yargs";
import { Finding } from "./finding.ts";
import { checkGrowth } from "./growth.ts";
import { run } from "./run.ts";
import { scenarioOf } from "./scenario.ts";
import { shapeOf } from "./shape.ts";
import { tellFinding } from "./tell.ts";

const purpose = [
  "$0\n\nRuns the cores of controller, agents and devices in worlds where everything fails, until the time is over or one of the",
  "SPEC's invariants does. One seed is one world, the same each time. Exit 1 with the smallest world that shows a finding.",
].join(" ");
const values = await yargs(process.argv.slice(2))
  .scriptName("npm run sim --")
  .usage(purpose)
  .option("minutes", { type: "number", requiresArg: true, default: 1, describe: "For how long" })
  .option("seed", { type: "number", requiresArg: true, default: 1, describe: "The first seed" })
  .option("count", { type: "number", requiresArg: true, describe: "So many from there on" })
  .option("all", { type: "boolean", default: false, describe: "Go on after a finding, and count them" })
  .option("trace", { type: "boolean", default: false, describe: "One seed, and everything that happened" })
  .check(({ minutes }) => minutes > 0 || "--minutes is a number above 0")
  .check(({ seed }) => (Number.isInteger(seed) && seed > 0) || "--seed is a whole number from 1")
  .check(({ count = 1 }) => (Number.isInteger(count) && count > 0) || "--count is a whole number from 1")
  .example("$0 --minutes 5", "other worlds for five minutes")
  .example("$0 --seed 42 --trace", "that world, told as it goes")
  .strict()
  .parseAsync();

/** It takes as long as twenty others. */
const growthEvery = 200;

const first = values.seed;
const count = values.trace ? 1 : (values.count ?? Number.POSITIVE_INFINITY);
const endMs = performance.now() + values.minutes * 60_000;
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
