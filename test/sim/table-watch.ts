import { instancesMax } from "../../controller/core/decide-connector.ts";
import type { Change, OneTimeUse, Plan, SessionRow } from "../../controller/core/rows.ts";
import { containsAddress, parsePrefix } from "../../protocol/address.ts";
import type { SessionSpec } from "../../protocol/specs.ts";
import type { Attachment, SessionOutcome } from "../../protocol/state.ts";
import type { DiskTables } from "./controller-host.ts";
import { DeviceHost } from "./device-host.ts";
import { check } from "./finding.ts";
import type { InstanceHost } from "./instance-host.ts";
import type { Client } from "./network.ts";
import { consequencesMs, isCarrying } from "./path.ts";
import type { World } from "./world.ts";

type Granted = Extract<SessionOutcome, { outcome: "granted" }>;
type Put<Table extends Change["table"]> = Extract<Change, { table: Table; put: unknown }>["put"];

/** What the controller writes, against what it wrote before. */
export class TableWatch {
  readonly #world: World;
  /** Of every session there ever was: its highest epoch. */
  readonly #epochs = new Map<string, number>();
  /** The instance of each epoch of each session. */
  readonly #places = new Map<string, string>();
  /** Every attachment that was ever stored. */
  readonly #attached = new Set<string>();
  /** Every grant that an instance ever said. */
  readonly #granted = new Set<string>();
  /** When each device's session last changed. */
  readonly changedAtMs = new Map<string, number>();

  /** When each device's session last got a higher epoch. */
  readonly raisedAtMs = new Map<string, number>();

  constructor(world: World) {
    this.#world = world;
  }

  /** Epochs that were stored after the backup was made may be used again; who holds one says so. */
  restored(tables: DiskTables): void {
    this.#epochs.clear();
    this.#places.clear();
    for (const { id, epoch, place, leaving } of tables.all("session")) {
      this.#epochs.set(id, epoch);
      if (leaving !== null) this.#places.set(`${id}/${leaving.epoch}`, leaving.instance);
      if (place.is !== "waiting") this.#places.set(`${id}/${epoch}`, place.instance);
    }
  }

  /** Invariant 7, when it is decided: what is true when it is stored nobody could know. */
  deciding({ changes, audit }: Plan): void {
    if (audit.some(({ actor }) => actor !== "controller")) return;
    const { tables } = this.#world.controller;
    for (const change of changes) {
      if (change.table !== "session") continue;
      const before = tables.get("session", "put" in change ? change.put.id : change.remove);
      if (before !== undefined) this.#moved(before, "put" in change ? change.put : undefined, tables);
    }
  }

  committing({ changes }: Plan, tables: DiskTables): void {
    for (const change of changes) {
      switch (change.table) {
        case "session":
          this.#session(change, tables);
          break;
        case "instance":
          if ("put" in change && tables.get("instance", change.put.id) === undefined) {
            const { identityKey } = change.put;
            this.#letIn("otp", identityKey, changes, tables);
          }
          break;
        case "device":
          if ("put" in change && tables.get("device", change.put.id) === undefined) {
            this.#letIn("deviceCode", change.put.identityKey, changes, tables);
          }
          break;
        case "otp":
        case "deviceCode":
          if ("put" in change) this.#spent(change.table, change.put, tables);
          break;
        case "connector":
        case "group":
        case "token":
        case "counter":
          break;
      }
    }
  }

  granted(host: InstanceHost, session: string, { epoch, ipv4, ipv6 }: Granted): void {
    this.#granted.add([host.name, session, epoch, ipv4, ipv6].join(" "));
  }

  /** Session, epoch, name of the instance, addresses. */
  wasAttached(grant: string): boolean {
    return this.#attached.has(grant);
  }

  /** Invariants 1, 4 and 10, of all there is now. */
  committed(tables: DiskTables): void {
    const holders = new Map<string, string>();
    for (const { id, place } of tables.all("session")) {
      if (place.is !== "attached") continue;
      const pools = tables.get("instance", place.instance)?.pools ?? {};
      const ranges = pools[place.pool] ?? { ipv4: [], ipv6: [] };
      for (const address of [place.ipv4, place.ipv6]) {
        if (address === undefined) continue;
        const other = holders.get(address);
        check(other === undefined, 1, () => `${address} is in sessions ${other} and ${id}`);
        holders.set(address, id);
        const isInside = [...ranges.ipv4, ...ranges.ipv6].some((range) => isIn(range, address));
        check(isInside, 4, () => `${address} of session ${id} is not in ${JSON.stringify(ranges)}`);
      }
    }
    for (const { name, mode } of tables.all("connector")) {
      const count = tables.all("instance").filter(({ connector }) => connector === name).length;
      check(count <= instancesMax[mode], 10, () => `${count} instances in mode ${mode}`);
    }
  }

  /** Invariant 3: what a device or an agent is told stands in the tables, or did. */
  told(client: Client, name: string, value: unknown): void {
    if (client instanceof DeviceHost) {
      const said = value as Attachment;
      if (said.state !== "attached") return;
      const { session, epoch, instance, ipv4, ipv6 } = said;
      const isStored = this.#attached.has([session, epoch, instance, ipv4, ipv6].join(" "));
      check(isStored, 3, () => `${client.name} was told of ${JSON.stringify(said)}`);
      return;
    }
    if (!name.startsWith("session/")) return;
    const session = name.slice("session/".length);
    const { epoch } = value as SessionSpec;
    const isStored = this.#places.has(`${session}/${epoch}`);
    check(isStored, 3, () => `${client.name} was told of ${session} in epoch ${epoch}`);
  }

  #session(change: Extract<Change, { table: "session" }>, tables: DiskTables): void {
    const after = "put" in change ? change.put : undefined;
    const before = tables.get("session", "put" in change ? change.put.id : change.remove);
    const device = (after ?? before)?.device;
    if (device !== undefined) this.changedAtMs.set(device, this.#world.agenda.nowMs);
    if (before !== undefined && after !== undefined && after.epoch > before.epoch) {
      this.raisedAtMs.set(after.device, this.#world.agenda.nowMs);
    }
    if (after !== undefined) this.#epoch(after, tables);
  }

  /** Invariants 2 and 5. */
  #epoch({ id, epoch, place }: SessionRow, tables: DiskTables): void {
    const last = this.#epochs.get(id) ?? 0;
    check(epoch >= last, 5, () => `session ${id} fell from ${last} to ${epoch}`);
    this.#epochs.set(id, epoch);
    if (place.is === "waiting") return;
    const known = this.#places.get(`${id}/${epoch}`) ?? place.instance;
    check(known === place.instance, 5, () => `epoch ${epoch} of ${id} is of ${known} and ${place.instance}`);
    this.#places.set(`${id}/${epoch}`, place.instance);
    if (place.is === "placed") return;
    const grant = [this.#world.hostOf(place.instance)?.name, id, epoch, place.ipv4, place.ipv6].join(" ");
    check(this.#granted.has(grant), 2, () => `${id} is attached as nobody has said: ${grant}`);
    const name = tables.get("instance", place.instance)?.name;
    this.#attached.add([id, epoch, name, place.ipv4, place.ipv6].join(" "));
  }

  #moved(before: SessionRow, after: SessionRow | undefined, tables: DiskTables): void {
    const { place } = before;
    if (place.is !== "attached") return;
    const stays = after?.place.is === "attached" && after.epoch === before.epoch;
    if (stays) return;
    const world = this.#world;
    const device = world.hostOfDevice(before.device);
    const instance = world.hostOf(place.instance);
    if (device === undefined || instance === undefined) return;
    const isBeingDrained =
      instance.drains.size > 0 || world.agenda.nowMs - instance.drainedAtMs < consequencesMs;
    const isDrained = isBeingDrained || tables.get("instance", place.instance)?.drainSinceMs !== null;
    // Dead it was, and the news that it works again was on its way.
    const isThoughtDead = world.watchers.words.isDead(device.identityKey, before.id, before.epoch);
    if (isDrained || isThoughtDead) return;
    check(
      !isCarrying(world, device, instance, place),
      7,
      () =>
        `${device.name} carries by ${instance.name}, and ${JSON.stringify(before)} becomes ${JSON.stringify(after)}`,
    );
  }

  /** Invariant 6. */
  #letIn(
    table: "otp" | "deviceCode",
    identityKey: string,
    changes: readonly Change[],
    tables: DiskTables,
  ): void {
    const spent = changes.filter((change) => change.table === table && "put" in change);
    const [first] = spent;
    const isOne = spent.length === 1 && first !== undefined && "put" in first;
    check(isOne, 6, () => `${identityKey} came in with ${spent.length} secrets`);
    const { id, use } = first.put as Put<"otp" | "deviceCode">;
    check(use.is === "used" && use.identityKey === identityKey, 6, () => `${id} is ${JSON.stringify(use)}`);
    const before = tables.get(table, id)?.use;
    check(
      before?.is === "open",
      6,
      () => `${identityKey} came in with ${id}, which was ${JSON.stringify(before)}`,
    );
  }

  #spent(
    table: "otp" | "deviceCode",
    { id, use }: { readonly id: string; readonly use: OneTimeUse },
    tables: DiskTables,
  ): void {
    const before = tables.get(table, id)?.use;
    const isSame =
      before === undefined || before.is === "open" || JSON.stringify(before) === JSON.stringify(use);
    check(isSame, 6, () => `${id} went from ${JSON.stringify(before)} to ${JSON.stringify(use)}`);
  }
}

export function isIn(range: string, address: string): boolean {
  const prefix = parsePrefix(range);
  return prefix.ok && containsAddress(prefix.value, address);
}
