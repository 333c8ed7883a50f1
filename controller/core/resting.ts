import { limits } from "../../protocol/limits.ts";

/**
 * Addresses that rest after their device has left, as instances report them. Until that is over nobody else gets them, so a
 * device that comes back goes where its own is.
 */
export class Resting {
  /** By `device/pool`: the instances where it rests, the last left last. BOUNDED: what follows. */
  readonly #instances = new Map<string, Set<string>>();
  /** By instance. BOUNDED: `entriesMax` for each. */
  readonly #leases = new Map<string, Set<string>>();

  rests(instance: string, lease: string): void {
    const ofInstance = this.#leases.get(instance) ?? new Set();
    if (ofInstance.size >= limits.entriesMax && !ofInstance.has(lease)) return;
    this.#leases.set(instance, ofInstance.add(lease));
    const where = this.#instances.get(lease) ?? new Set();
    where.delete(instance);
    this.#instances.set(lease, where.add(instance));
  }

  isOver(instance: string, lease: string): void {
    const ofInstance = this.#leases.get(instance);
    ofInstance?.delete(lease);
    if (ofInstance?.size === 0) this.#leases.delete(instance);
    const where = this.#instances.get(lease);
    where?.delete(instance);
    if (where?.size === 0) this.#instances.delete(lease);
  }

  /** The instance says everything anew, or is no more. */
  forget(instance: string): void {
    for (const lease of [...(this.#leases.get(instance) ?? [])]) this.isOver(instance, lease);
  }

  /** Where the device was last, of the instances that keep an address of the pool for it. */
  homeOf(device: string, pool: string): string | undefined {
    return [...(this.#instances.get(`${device}/${pool}`) ?? [])].at(-1);
  }
}
