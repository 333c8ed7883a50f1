import { type LeaseEffect, type LeaseInput, Leases } from "../../agent/core/leases.ts";
import type { Pools } from "../../agent/core/ports.ts";
import type { FailureCode } from "../../protocol/failures.ts";
import type { PoolSpec, SessionSpec } from "../../protocol/specs.ts";
import type { Instant } from "../../protocol/time.ts";
import { LeaseDisk } from "./lease-disk.ts";

export const coolDownMs = 240_000;

/** The lease core with its disk and its clock, which both do what the test says. */
export class LeaseWorld {
  readonly disk = new LeaseDisk();
  now: Instant = { monotonicMs: 1_000_000, wallMs: 1_800_000_000_000 };
  bootId = "boot-1";
  leases = this.#start();
  /** The write that is on its way. */
  write: Extract<LeaseEffect, { do: "store" }> | undefined;
  /** Everything that was reported as changed since it was last looked at. */
  changed = { sessions: new Set<string>(), leases: new Set<string>(), pools: new Set<string>() };
  #configuration: LeaseInput | undefined;

  input(input: LeaseInput): void {
    for (const effect of this.leases.handle(input, this.now)) {
      switch (effect.do) {
        case "store":
          if (this.write !== undefined) throw new Error("two writes are on their way");
          this.write = effect;
          break;
        case "changed":
          for (const id of effect.sessions) this.changed.sessions.add(id);
          for (const key of effect.leases) this.changed.leases.add(key);
          for (const name of effect.pools) this.changed.pools.add(name);
      }
    }
  }

  /** Lets every write succeed until there is none. */
  settle(): void {
    for (let left = 100; this.write !== undefined; left--) {
      if (left === 0) throw new Error("the core does not stop writing");
      this.stored();
    }
  }

  stored(): void {
    const { write } = this;
    if (write === undefined) return;
    this.disk.write(write);
    this.write = undefined;
    this.input({ kind: "stored", effectId: write.effectId });
  }

  /** The write fails; `reached` says that it came to the disk all the same. */
  storeFailed(why: FailureCode = "store.full", reached = false): void {
    const { write } = this;
    if (write === undefined) return;
    if (reached) this.disk.write(write);
    this.write = undefined;
    this.input({ kind: "storeFailed", effectId: write.effectId, why });
  }

  configure(pools: Pools, unverified: readonly string[] = []): void {
    const ranges = [...pools.values()].flatMap((pool) => [...pool.ipv4, ...pool.ipv6]);
    const verified = new Set(ranges.filter((range) => !unverified.includes(range)));
    this.#configuration = { kind: "ranges", pools, verified };
    this.input(this.#configuration);
  }

  want(...set: readonly (readonly [string, SessionSpec])[]): void {
    this.input({ kind: "sessions", from: "controller", snapshot: false, set, over: [] });
  }

  snapshot(
    set: readonly (readonly [string, SessionSpec])[],
    from: "controller" | "disk" = "controller",
  ): void {
    this.input({ kind: "sessions", from, snapshot: true, set, over: [] });
  }

  end(...over: readonly string[]): void {
    this.input({ kind: "sessions", from: "controller", snapshot: false, set: [], over });
  }

  /** A reading of the traffic, in no time: these devices have just been heard, the others have not. */
  seen(...ids: readonly string[]): void {
    const { monotonicMs } = this.now;
    this.input({ kind: "seen", sessions: ids.map((id) => [id, monotonicMs]), throughMs: monotonicMs });
  }

  pass(ms: number): void {
    this.now = { monotonicMs: this.now.monotonicMs + ms, wallMs: this.now.wallMs + ms };
  }

  /** Lets time pass, with a tick whenever the core asked for one, nobody heard, and every write succeeding. */
  live(ms: number): void {
    const endMs = this.now.monotonicMs + ms;
    for (let left = 10_000; ; left--) {
      if (left === 0) throw new Error("the core does not stop ticking");
      this.settle();
      const dueMs = this.leases.nextDeadline();
      if (dueMs === undefined || dueMs > endMs) break;
      this.pass(Math.max(0, dueMs - this.now.monotonicMs));
      this.seen();
      this.input({ kind: "tick" });
    }
    this.pass(endMs - this.now.monotonicMs);
  }

  /** The process dies and starts anew; `bootMs` is set when the host rebooted and was off for so long. */
  restart(bootMs?: number): void {
    const clock = { bootId: this.bootId, ...this.now };
    if (bootMs !== undefined) {
      this.bootId = `${this.bootId}+`;
      this.now = { monotonicMs: 5_000, wallMs: this.now.wallMs + bootMs };
    }
    this.write = undefined;
    this.leases = this.#start(clock);
    if (this.#configuration !== undefined) this.input(this.#configuration);
  }

  #start(clock?: { bootId: string; monotonicMs: number; wallMs: number }): Leases {
    return new Leases({ saved: this.disk.saved(clock), bootId: this.bootId, coolDownMs }, this.now);
  }
}

export function pool(ipv4: readonly string[], ipv6: readonly string[] = [], leaseMinutes = 60): PoolSpec {
  return { group: "staff", leaseMinutes, ipv4: [...ipv4], ipv6: [...ipv6] };
}

export function session(device: string, epoch = 1, more: Partial<SessionSpec> = {}): SessionSpec {
  return { epoch, device, user: `user of ${device}`, pool: "staff", wireguardKey: "A".repeat(43), ...more };
}
