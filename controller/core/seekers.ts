import type { FailureCode } from "../../protocol/failures.ts";

/** What a group may hope for now: so many addresses, or why there is none. */
export interface Room {
  readonly free: number;
  readonly code: FailureCode | undefined;
}

/**
 * Devices that want a place and have none, in the order in which they began to wait. When a group is full, thousands do:
 * they are looked at when there is an address for them or another answer, as many as there are addresses.
 */
export class Seekers {
  /** BOUNDED: devices. */
  readonly #groups = new Map<string, string>();
  readonly #byGroup = new Map<string, Set<string>>();
  /** What each group was told last. BOUNDED: groups in which somebody waits. */
  readonly #codes = new Map<string, FailureCode | undefined>();

  get size(): number {
    return this.#groups.size;
  }

  add(group: string, device: string): void {
    if (this.#groups.has(device)) return;
    this.#groups.set(device, group);
    const others = this.#byGroup.get(group);
    if (others === undefined) this.#byGroup.set(group, new Set([device]));
    else others.add(device);
  }

  delete(device: string): void {
    const group = this.#groups.get(device);
    if (group === undefined) return;
    this.#groups.delete(device);
    const others = this.#byGroup.get(group);
    others?.delete(device);
    if (others?.size !== 0) return;
    this.#byGroup.delete(group);
    this.#codes.delete(group);
  }

  /** Who is to be looked at. One that then still waits, though there was an address, goes behind the others. */
  take(roomFor: (group: string) => Room): readonly string[] {
    const due: string[] = [];
    for (const [group, devices] of this.#byGroup) {
      const { free, code } = roomFor(group);
      const isNews = free === 0 && this.#codes.get(group) !== code;
      this.#codes.set(group, code);
      const count = isNews ? devices.size : Math.min(free, devices.size);
      let taken = 0;
      for (const device of devices) {
        if (taken === count) break;
        taken += 1;
        due.push(device);
      }
      if (isNews) continue;
      for (const device of due.slice(due.length - taken)) {
        devices.delete(device);
        devices.add(device);
      }
    }
    return due;
  }
}
