import { createHash } from "node:crypto";

export type Size = "small" | "full";

/** What one bench measured. Numbers are for people and move with the machine; `work` is the same on every machine. */
export interface BenchResult {
  readonly rows: readonly BenchRow[];
  /** Hash of what was done, so that two runs are known to have done the same. */
  readonly work: string;
}

export interface BenchRow {
  readonly what: string;
  readonly value: number;
  readonly unit: string;
  /** Against which other row, by its `what`. */
  readonly against?: string;
  /** `at least` or `at most`, in the row's unit. */
  readonly budget?: { readonly atLeast: number } | { readonly atMost: number };
  /** What the number was made of, for people. */
  readonly note?: string;
}

export type Bench = (size: Size) => Promise<BenchResult>;

export function workHash(work: unknown): string {
  return createHash("sha256").update(JSON.stringify(work)).digest("hex").slice(0, 12);
}

/** Milliseconds that `act` takes, once. */
export function timed(act: () => void): number {
  const startMs = performance.now();
  act();
  return performance.now() - startMs;
}

/** The best of several measurements: the machine only ever makes things slower. */
export function best(times: number, measure: () => number): number {
  return Math.min(...Array.from({ length: times }, measure));
}

export function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN;
}
