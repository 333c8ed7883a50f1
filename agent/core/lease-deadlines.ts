/** Something that is due once. The two fields belong to Deadlines. */
export interface Due {
  dueAtMs: number;
  /** Its index in the heap, or -1. */
  duePosition: number;
}

/**
 * A binary heap that knows where its members are: setting, moving and removing cost O(log n), the next one O(1).
 * BOUNDED: one entry per member.
 */
export class Deadlines<Member extends Due> {
  readonly #heap: Member[] = [];

  next(): number | undefined {
    return this.#heap[0]?.dueAtMs;
  }

  set(member: Member, atMs: number): void {
    const before = member.dueAtMs;
    member.dueAtMs = atMs;
    if (member.duePosition < 0) {
      this.#heap.push(member);
      this.#raise(member, this.#heap.length - 1);
    } else if (atMs < before) this.#raise(member, member.duePosition);
    else this.#sink(member, member.duePosition);
  }

  delete(member: Member): void {
    const hole = member.duePosition;
    if (hole < 0) return;
    member.duePosition = -1;
    const last = this.#heap.pop();
    if (last === undefined || last === member) return;
    this.#raise(last, hole);
    this.#sink(last, last.duePosition);
  }

  /** Removes and returns the first member that is due. */
  takeDue(nowMs: number): Member | undefined {
    const first = this.#heap[0];
    if (first === undefined || first.dueAtMs > nowMs) return undefined;
    this.delete(first);
    return first;
  }

  #raise(member: Member, from: number): void {
    let at = from;
    while (at > 0) {
      const parent = this.#heap[(at - 1) >> 1];
      if (parent === undefined || parent.dueAtMs <= member.dueAtMs) break;
      this.#put(parent, at);
      at = (at - 1) >> 1;
    }
    this.#put(member, at);
  }

  #sink(member: Member, from: number): void {
    let at = from;
    for (;;) {
      const left = this.#heap[2 * at + 1];
      const right = this.#heap[2 * at + 2];
      const child = right !== undefined && left !== undefined && right.dueAtMs < left.dueAtMs ? right : left;
      if (child === undefined || child.dueAtMs >= member.dueAtMs) break;
      const childAt = child.duePosition;
      this.#put(child, at);
      at = childAt;
    }
    this.#put(member, at);
  }

  #put(member: Member, at: number): void {
    this.#heap[at] = member;
    member.duePosition = at;
  }
}
