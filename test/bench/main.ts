/** Runs the benches at full size and prints what they measured: `npm run bench -- --help`. */
import { cpus, loadavg } from "node:os";
import yargs from "yargs";
import type { BenchResult, BenchRow } from "./bench.ts";
import { benches, obstacles } from "./registry.ts";

const purpose = [
  "$0 [NAME ...]\n\nMeasures at full size and prints what it measured, most of it as a ratio to a naive or bare way in the same",
  "run, and what was promised of it. Figures are worth something on a machine that does nothing else.",
].join(" ");
const names = Object.keys(benches);
const { _: words } = await yargs(process.argv.slice(2))
  .scriptName("npm run bench --")
  .usage(purpose)
  .check(
    ({ _: given }) => given.every((name) => names.includes(String(name))) || `There are: ${names.join(", ")}`,
  )
  .example("$0", "all")
  .example("$0 grants codec", "these two")
  .epilogue(`There are: ${names.join(", ")}`)
  .strictOptions()
  .parseAsync();
const named = words.map(String);

const processors = cpus();
console.log(
  `Node ${process.version}, ${processors.length} × ${processors[0]?.model ?? "unknown processor"}, load ${loadavg()[0]?.toFixed(1)}\n`,
);
for (const [name, run] of Object.entries(benches)) {
  if (named.length > 0 && !named.includes(name)) continue;
  const why = obstacles[name];
  if (why === undefined) print(name, await run("full"));
  else console.log(`${name}  not run: ${why}\n`);
}

function print(name: string, { rows, work }: BenchResult): void {
  console.log(`${name}  (work ${work})`);
  const width = Math.max(44, ...rows.map(({ what }) => what.length));
  for (const row of rows) {
    const value = `${format(row.value)} ${row.unit}`.padStart(22);
    console.log(
      `  ${row.what.padEnd(width)}${value}  ${[ratio(row, rows), budget(row), row.note].filter(Boolean).join("  ")}`,
    );
  }
  console.log("");
}

function ratio(row: BenchRow, rows: readonly BenchRow[]): string {
  const base = rows.find((other) => other.what === row.against);
  return base === undefined ? "" : `× ${(row.value / base.value).toFixed(2)} of ${base.what}`;
}

function budget({ budget, value, unit }: BenchRow): string {
  if (budget === undefined) return "";
  const isMet = "atLeast" in budget ? value >= budget.atLeast : value <= budget.atMost;
  const bound = "atLeast" in budget ? `≥ ${format(budget.atLeast)}` : `≤ ${format(budget.atMost)}`;
  return `budget ${bound} ${unit}: ${isMet ? "met" : "MISSED"}`;
}

function format(value: number): string {
  return value.toLocaleString("en", { maximumFractionDigits: value < 100 ? 2 : 0 });
}
