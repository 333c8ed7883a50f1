import { coreDefaults } from "../../controller/core/settings.ts";
import { check } from "./finding.ts";
import type { Client } from "./network.ts";
import type { World } from "./world.ts";

/** To notice it at the next sweep, and whatever else is to be done in that second. */
const slackMs = 3_000;

/** Invariant 14, of links: the controller keeps none that nobody speaks on, or each silent host would cost one for ever. */
export class LinkWatch {
  readonly #world: World;
  #sinceMs = 0;
  #starts = 0;

  constructor(world: World) {
    this.#world = world;
  }

  look(): void {
    const { controller, agenda, instances, devices } = this.#world;
    // Whoever waits for the store to be let in is not cut for silence: there are so many of them at most.
    const isStuck = controller.fault !== undefined;
    if (controller.starts !== this.#starts || isStuck) this.#sinceMs = agenda.nowMs;
    this.#starts = controller.starts;
    if (controller.process === undefined) return;
    const { heartbeatMs, silentHeartbeats } = coreDefaults;
    for (const host of instances) this.#lookAt(host, heartbeatMs.agent * silentHeartbeats + slackMs);
    for (const host of devices) this.#lookAt(host, heartbeatMs.device * silentHeartbeats + slackMs);
  }

  #lookAt(host: Client, forMs: number): void {
    const { network, agenda } = this.#world;
    if (agenda.nowMs - this.#sinceMs < forMs) return;
    const links = network.silent(host, forMs);
    check(
      links.length === 0,
      14,
      () =>
        `nothing has come from ${host.name} over link ${links.join()} for ${forMs} ms, and it is still open`,
    );
  }
}
