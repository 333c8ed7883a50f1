import type { StateFrame } from "../../protocol/messages.ts";
import type { SessionOutcome } from "../../protocol/state.ts";
import { check } from "./finding.ts";
import type { InstanceHost } from "./instance-host.ts";
import type { World } from "./world.ts";

/**
 * Invariant 5, at the instances: one that has a session does not go back to an epoch of it that is over, also when it is
 * told so by a controller that was restored.
 */
export class EpochWatch {
  readonly #world: World;
  /** The last epoch each instance has of a session: until it has it no more, or its process has ended. */
  readonly #epochs = new Map<InstanceHost, Map<string, number>>();
  readonly #starts = new Map<InstanceHost, number>();
  /** What each has named so far, while it says from the start what it has. */
  readonly #named = new Map<InstanceHost, Set<string>>();

  constructor(world: World) {
    this.#world = world;
  }

  /** Once a second: what it thinks, said or not. */
  look(): void {
    for (const host of this.#world.instances) {
      for (const { session, epoch } of host.agent?.views(() => host.now).sessions() ?? []) {
        this.#rises(host, session, epoch);
      }
    }
  }

  reported(host: InstanceHost, { from, part, last, set, remove }: StateFrame): void {
    const epochs = this.#of(host);
    for (const name of remove) epochs.delete(sessionIn(name) ?? "");
    const named = (part > 0 && this.#named.get(host)) || new Set<string>();
    for (const [name, value] of set) {
      const session = sessionIn(name);
      if (session === undefined) continue;
      named.add(session);
      this.#rises(host, session, (value as SessionOutcome).epoch);
    }
    this.#named.set(host, named);
    if (from > 0 || !last) return;
    // What it does not name now that it says everything anew, it has no more.
    for (const session of epochs.keys()) if (!named.has(session)) epochs.delete(session);
  }

  #rises(host: InstanceHost, session: string, epoch: number): void {
    const epochs = this.#of(host);
    const before = epochs.get(session) ?? 0;
    check(epoch >= before, 5, () => `${host.name} fell from epoch ${before} of ${session} to ${epoch}`);
    epochs.set(session, epoch);
  }

  #of(host: InstanceHost): Map<string, number> {
    const known = this.#epochs.get(host);
    if (known !== undefined && this.#starts.get(host) === host.starts) return known;
    const epochs = new Map<string, number>();
    this.#epochs.set(host, epochs);
    this.#starts.set(host, host.starts);
    return epochs;
  }
}

function sessionIn(name: string): string | undefined {
  return name.startsWith("session/") ? name.slice("session/".length) : undefined;
}
