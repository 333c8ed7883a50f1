/**
 * Deadlines by key, one for each. They are kept to the next full step, so that ten thousand of them are a handful of
 * wake-ups; looking for the first costs the number of steps ahead, not of keys.
 */
export class Timers {
  readonly #stepMs: number;
  readonly #atMs = new Map<string, number>();
  readonly #buckets = new Map<number, Set<string>>();
  #first: number | undefined;

  constructor(stepMs = 50) {
    this.#stepMs = stepMs;
  }

  set(key: string, atMs: number): void {
    this.delete(key);
    const stepMs = Math.ceil(atMs / this.#stepMs) * this.#stepMs;
    this.#atMs.set(key, stepMs);
    const bucket = this.#buckets.get(stepMs);
    if (bucket === undefined) this.#buckets.set(stepMs, new Set([key]));
    else bucket.add(key);
    if (this.#first !== undefined) this.#first = Math.min(this.#first, stepMs);
    else if (this.#buckets.size === 1) this.#first = stepMs;
  }

  has(key: string): boolean {
    return this.#atMs.has(key);
  }

  delete(key: string): void {
    const atMs = this.#atMs.get(key);
    if (atMs === undefined) return;
    this.#atMs.delete(key);
    const bucket = this.#buckets.get(atMs);
    bucket?.delete(key);
    if (bucket?.size !== 0) return;
    this.#buckets.delete(atMs);
    if (this.#first === atMs) this.#first = undefined;
  }

  next(): number | undefined {
    if (this.#first === undefined) {
      for (const atMs of this.#buckets.keys()) {
        if (this.#first === undefined || atMs < this.#first) this.#first = atMs;
      }
    }
    return this.#first;
  }

  /** The keys whose time has come; they are forgotten. */
  take(nowMs: number): string[] {
    const due: string[] = [];
    for (let atMs = this.next(); atMs !== undefined && atMs <= nowMs; atMs = this.next()) {
      for (const key of this.#buckets.get(atMs) ?? []) due.push(key);
      for (const key of this.#buckets.get(atMs) ?? []) this.#atMs.delete(key);
      this.#buckets.delete(atMs);
      this.#first = undefined;
    }
    return due;
  }
}
