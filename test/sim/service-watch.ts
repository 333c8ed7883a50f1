import type { DeviceHost } from "./device-host.ts";
import { check } from "./finding.ts";
import type { World } from "./world.ts";

/**
 * How long a device may be without a path while an instance is there for it: to notice, for two to say so or one alone to
 * wait, to be moved, granted and to shake hands, with packets lost on the way.
 */
const boundMs = 20_000;
/** A device that was moved for its own path's sake waits longer before it is moved again. */
const patienceMs = 120_000;

/** Invariant 8: looked at once a second, by the truth and by what the controller has been told. */
export class ServiceWatch {
  readonly #world: World;
  /** By device: since when it has no path, and the instances that were there for it all the time since. */
  readonly #without = new Map<DeviceHost, { readonly sinceMs: number; readonly open: ReadonlySet<string> }>();
  #controllerSinceMs = 0;
  #starts = 0;

  constructor(world: World) {
    this.#world = world;
  }

  look(): void {
    const { controller, agenda, devices } = this.#world;
    if (
      controller.starts !== this.#starts ||
      controller.process === undefined ||
      controller.fault !== undefined
    ) {
      this.#controllerSinceMs = agenda.nowMs;
      this.#starts = controller.starts;
    }
    for (const device of devices) this.#lookAt(device);
  }

  #lookAt(device: DeviceHost): void {
    const { nowMs } = this.#world.agenda;
    const open = this.#isOwed(device) ? this.#openFor(device) : undefined;
    if (open === undefined || open.size === 0) {
      this.#without.delete(device);
      return;
    }
    const before = this.#without.get(device);
    const still = before && new Set([...open].filter((id) => before.open.has(id)));
    if (before === undefined || still === undefined || still.size === 0) {
      this.#without.set(device, { sinceMs: nowMs, open });
      return;
    }
    this.#without.set(device, { sinceMs: before.sinceMs, open: still });
    check(
      nowMs - before.sinceMs <= boundMs,
      8,
      () => `${device.name} has had no path since ${before.sinceMs}, and ${[...still]} could serve it`,
    );
  }

  /** It wants a path, could have one, can say so, and has none; and the controller is not still gathering its group. */
  #isOwed(device: DeviceHost): boolean {
    const { agenda } = this.#world;
    if (device.device?.linkState.kind !== "open" || device.kernel.carrier() !== undefined) return false;
    const { control, kernel, wants, isTunnelFailing } = device;
    const isCutOff = control.in || control.out || kernel.data.in || kernel.data.out;
    const wasMovedMs = this.#world.watchers.tables.raisedAtMs.get(this.#world.deviceRowOf(device)?.id ?? "");
    const isPatient = wasMovedMs !== undefined && agenda.nowMs - wasMovedMs < patienceMs;
    const isGathering = agenda.nowMs - this.#controllerSinceMs < 60_000;
    return !isCutOff && wants === "attached" && !isTunnelFailing && !isPatient && !isGathering;
  }

  #openFor(device: DeviceHost): ReadonlySet<string> {
    const group = this.#world.deviceRowOf(device)?.group;
    const open = this.#world.watchers.mirror.open(`pool of ${group}`).filter((id) => {
      const host = this.#world.hostOf(id);
      if (host?.process === undefined || !host.isUp) return false;
      const { control, kernel, diskFault, dataPathFault } = host;
      const isCutOff = control.in || control.out || kernel.data.in || kernel.data.out;
      return !isCutOff && diskFault === undefined && dataPathFault === undefined;
    });
    return new Set(open);
  }
}
