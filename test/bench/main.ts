/**
 * Runs the benches at full size and prints what they measured: `npm run bench`, or `npm run bench -- grants` for some.
 */
import { cpus, loadavg } from "node:os";
import type { BenchResult, BenchRow } from "./bench.ts";
import { benches, obstacles } from "./registry.ts";

const named = process.argv.slice(2);
const unknown = named.filter((name) => !Object.hasOwn(benches, name));
if (unknown.length > 0) {
  console.error(`no such bench: ${unknown.join(", ")}; there are: ${Object.keys(benches).join(", ")}`);
  process.exit(2);
}

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
