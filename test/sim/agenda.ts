interface Entry {
  readonly atMs: number;
  /** Of two at the same time, the one that was entered first comes first: that makes a run repeatable. */
  readonly order: number;
  readonly run: () => void;
}

/** So much never happens in one millisecond of a small world. */
const atOnceMax = 5_000;

/** What is going to happen, in order of time; a binary heap. Time is what the next entry says it is. */
export class Agenda {
  nowMs = 0;
  steps = 0;
  #order = 0;
  #atOnce = 0;
  readonly #heap: Entry[] = [];

  after(ms: number, run: () => void): void {
    this.at(this.nowMs + ms, run);
  }

  at(atMs: number, run: () => void): void {
    const heap = this.#heap;
    const entry = { atMs: Math.max(atMs, this.nowMs), order: ++this.#order, run };
    let i = heap.length;
    heap.push(entry);
    while (i > 0) {
      const parent = (i - 1) >> 1;
      const above = heap[parent];
      if (above === undefined || isBefore(above, entry)) break;
      heap[i] = above;
      i = parent;
    }
    heap[i] = entry;
  }

  get nextMs(): number {
    return this.#heap[0]?.atMs ?? Number.POSITIVE_INFINITY;
  }

  /** Everything up to and including this time. */
  runUntil(endMs: number): void {
    while (this.nextMs <= endMs) {
      const entry = this.#take();
      this.#atOnce = entry.atMs === this.nowMs ? this.#atOnce + 1 : 0;
      if (this.#atOnce > atOnceMax) throw new Error("time does not go on: somebody spins");
      this.nowMs = entry.atMs;
      this.steps += 1;
      entry.run();
    }
    this.nowMs = endMs;
  }

  #take(): Entry {
    const heap = this.#heap;
    const [first] = heap;
    const last = heap.pop();
    if (first === undefined || last === undefined) throw new Error("an empty agenda");
    if (heap.length === 0) return first;
    let i = 0;
    for (;;) {
      const left = 2 * i + 1;
      const right = left + 1;
      let child = heap[left];
      let at = left;
      const other = heap[right];
      if (child !== undefined && other !== undefined && isBefore(other, child)) {
        child = other;
        at = right;
      }
      if (child === undefined || isBefore(last, child)) break;
      heap[i] = child;
      i = at;
    }
    heap[i] = last;
    return first;
  }
}

function isBefore(a: Entry, b: Entry): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}
