/** A free lease's neighbours. The fields belong to LeaseQueue. */
export interface Queued<Member> {
  older: Member | undefined;
  newer: Member | undefined;
  queued: boolean;
  /** Rises with every release. */
  readonly row: { readonly order: number };
}

/** Free leases, least recently used first. A doubly linked list, so that any one can be taken out in O(1). */
export class LeaseQueue<Member extends Queued<Member>> {
  #oldest: Member | undefined;
  #newest: Member | undefined;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  oldest(): Member | undefined {
    return this.#oldest;
  }

  /** Adds what was released last. */
  append(member: Member): void {
    this.#link(this.#newest, member, undefined);
  }

  remove(member: Member): void {
    if (!member.queued) return;
    if (member.older === undefined) this.#oldest = member.newer;
    else member.older.newer = member.newer;
    if (member.newer === undefined) this.#newest = member.older;
    else member.newer.older = member.older;
    member.older = undefined;
    member.newer = undefined;
    member.queued = false;
    this.#length -= 1;
  }

  /** Puts members back where their order says, in one walk however many they are. */
  restore(members: readonly Member[]): void {
    let at = this.#oldest;
    for (const member of [...members].sort((a, b) => a.row.order - b.row.order)) {
      while (at !== undefined && at.row.order < member.row.order) at = at.newer;
      this.#link(at === undefined ? this.#newest : at.older, member, at);
    }
  }

  #link(older: Member | undefined, member: Member, newer: Member | undefined): void {
    member.older = older;
    member.newer = newer;
    member.queued = true;
    if (older === undefined) this.#oldest = member;
    else older.newer = member;
    if (newer === undefined) this.#newest = member;
    else newer.older = member;
    this.#length += 1;
  }
}
