import type { Instant } from "../../protocol/time.ts";
import type { CoreSettings } from "./settings.ts";
import type { Speaker } from "./tally.ts";
import { Timers } from "./timers.ts";

/** A device left an instance because its path there was dead. */
export interface Escape extends Speaker {
  readonly instance: string;
}

interface Kept extends Escape {
  /** The device is well elsewhere, so that it was the instance. */
  readonly isProven: boolean;
}

/**
 * Devices that were moved by themselves. Who is well afterwards goes on witnessing for a while: else an instance that
 * serves nobody would draw one newcomer after the other, each of which is gone before the next can say the same.
 */
export class Escapes {
  readonly #keptMs: number;
  /** BOUNDED: devices. */
  readonly #kept = new Map<string, Kept>();
  readonly #timers = new Timers(100);

  /** Not kept for longer than a hold-down: what led to one must not lead to the next. */
  constructor({ holdDownMs }: Pick<CoreSettings, "holdDownMs">) {
    this.#keptMs = holdDownMs;
  }

  /** Answers the one before, if it was proven: it counts no longer. */
  begin(device: string, one: Escape, now: Instant): Escape | undefined {
    const before = this.#kept.get(device);
    this.#kept.set(device, { ...one, isProven: false });
    this.#timers.set(device, now.monotonicMs + this.#keptMs);
    return before?.isProven ? before : undefined;
  }

  /** The device says alive of an instance: then it was the other one. Of that one itself: it is well again. */
  isWell(
    device: string,
    instance: string,
  ): { readonly is: "proven" | "refuted"; readonly of: Escape } | undefined {
    const kept = this.#kept.get(device);
    if (kept === undefined) return undefined;
    if (kept.instance === instance) {
      this.#kept.delete(device);
      this.#timers.delete(device);
      return kept.isProven ? { is: "refuted", of: kept } : undefined;
    }
    if (kept.isProven) return undefined;
    this.#kept.set(device, { ...kept, isProven: true });
    return { is: "proven", of: kept };
  }

  /** The proven ones whose time is over. */
  take(now: Instant): readonly Escape[] {
    return this.#timers.take(now.monotonicMs).flatMap((device) => {
      const kept = this.#kept.get(device);
      this.#kept.delete(device);
      return kept?.isProven ? [kept] : [];
    });
  }

  /** Who left this instance says nothing of it any more. Answers the proven ones. */
  forget(instance: string): readonly Escape[] {
    const left = [...this.#kept].filter(([, kept]) => kept.instance === instance);
    for (const [device] of left) {
      this.#kept.delete(device);
      this.#timers.delete(device);
    }
    return left.map(([, kept]) => kept).filter(({ isProven }) => isProven);
  }

  nextDeadline(): number | undefined {
    return this.#timers.next();
  }
}
