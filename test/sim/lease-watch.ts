import { type DataPathPlan, type LeaseRow, pairKey, type StoreBatch } from "../../agent/core/ports.ts";
import type { SessionOutcome } from "../../protocol/state.ts";
import type { DeviceHost } from "./device-host.ts";
import { check } from "./finding.ts";
import type { InstanceHost } from "./instance-host.ts";
import { isCarrying } from "./path.ts";
import { isIn } from "./table-watch.ts";
import type { World } from "./world.ts";

type Granted = Extract<SessionOutcome, { outcome: "granted" }>;

/** How long a write may take, with what it waits for. */
const tryingMs = 4_000;

/** Whose an address was last, and since when it rests: no longer let in, or on disk as cooling, whichever was first. */
interface LastUse {
  readonly device: string;
  wasPlanned: boolean;
  /** Somebody was told of it, or let in with it: what was written and never said needs no rest. */
  wasUsed: boolean;
  restsSinceMs: number | undefined;
  /** Its device had it written again, and nobody was told of it or let in with it since: it rests on from then. */
  restedSinceMs: number | undefined;
}

/** What instances write and plan, against what their disks and kernels hold. */
export class LeaseWatch {
  readonly #world: World;
  /** By instance and address. */
  readonly #last = new Map<string, LastUse>();
  /**
   * Until when a lease stood on disk, by instance, holder and address: one turn's writes go before all it says, so what it
   * said before it let go was true in that turn.
   */
  readonly #onDiskUntilMs = new Map<string, number>();

  /** Addresses that are kept for those who are refused, and since when. */
  readonly #kept = new Map<InstanceHost, ReadonlyMap<string, number>>();

  constructor(world: World) {
    this.#world = world;
  }

  writing(host: InstanceHost, { leases, forgotten, desired, recovered }: StoreBatch): void {
    const { nowMs } = this.#world.agenda;
    const rows = new Map(host.disk.leases);
    for (const pair of forgotten) rows.delete(pair);
    for (const row of leases) rows.set(pairKey(row.ipv4, row.ipv6), row);
    checkAddresses(rows.values(), `rows of ${host.name}`);
    for (const [pair, before] of host.disk.leases) {
      const after = rows.get(pair);
      if (before.state !== "leased" || after === before) continue;
      for (const name of namesOf(host, before)) this.#onDiskUntilMs.set(name, nowMs);
      if (after?.state !== "leased" || after.device !== before.device) this.#rests(host, before, nowMs);
    }
    for (const row of leases) {
      if (row.state !== "leased") continue;
      for (const name of namesOf(host, row)) this.#onDiskUntilMs.set(name, Number.POSITIVE_INFINITY);
      const isRecovering = host.disk.lostTo !== undefined && !recovered;
      this.#leased(host, row, isRecovering ? undefined : desired);
    }
  }

  /** What was on disk is not any more. From here on its addresses may rest: nobody will be let in with them. */
  lost(host: InstanceHost): void {
    const { nowMs } = this.#world.agenda;
    for (const row of host.disk.leases.values()) {
      if (row.state !== "leased") continue;
      for (const name of namesOf(host, row)) this.#onDiskUntilMs.set(name, nowMs);
      this.#rests(host, row, nowMs);
    }
  }

  /** Invariant 2: what is said of a grant. */
  granted(host: InstanceHost, session: string, { epoch, ipv4, ipv6 }: Granted): void {
    check(
      this.#isOnDisk(host, `${session}/${epoch}`, pairKey(ipv4, ipv6)),
      2,
      () => `${host.name} says ${ipv4} ${ipv6} is ${session}'s in ${epoch}, and its disk does not`,
    );
    for (const address of [ipv4, ipv6]) {
      const last = this.#last.get(`${host.name} ${address}`);
      if (last !== undefined) uses(last);
    }
  }

  /**
   * Invariant 15, once a second: who is refused keeps no address from others, but for the one its device had on disk
   * before. While a grant is tried again it does, for as long as the write takes.
   */
  look(): void {
    for (const host of this.#world.instances) {
      const views = host.agent?.views(() => host.now);
      const sessions = views?.sessions() ?? [];
      const refused = sessions.filter(({ state }) => state === "refused");
      const leases = refused.length === 0 ? [] : (views?.leases() ?? []);
      const kept = refused.flatMap(({ session }) => {
        const lease = leases.find((one) => one.session === session && one.state === "leased");
        const row = lease && host.disk.leases.get(pairKey(lease.ipv4, lease.ipv6));
        const isTheirs = row?.state === "leased" && row.device === lease?.device;
        return lease === undefined || isTheirs ? [] : [`${session} ${pairKey(lease.ipv4, lease.ipv6)}`];
      });
      this.#keeps(host, kept);
    }
  }

  #keeps(host: InstanceHost, kept: readonly string[]): void {
    const { nowMs } = this.#world.agenda;
    const before = this.#kept.get(host);
    const since = new Map(kept.map((name) => [name, before?.get(name) ?? nowMs]));
    this.#kept.set(host, since);
    for (const [name, sinceMs] of since) {
      check(
        nowMs - sinceMs < tryingMs,
        15,
        () => `${host.name} refuses and keeps ${name} since ${sinceMs} ms`,
      );
    }
  }

  /** Invariants 1, 2 and 7: what its packets pass for. */
  planned(host: InstanceHost, { peers }: DataPathPlan): void {
    const addresses = checkAddresses(peers, `peers of ${host.name}`);
    const devices = new Map(
      this.#world.controller.tables.all("device").map(({ wireguardKey, id }) => [wireguardKey, id]),
    );
    for (const { session, wireguardKey, ipv4, ipv6 } of peers) {
      const pair = pairKey(ipv4, ipv6);
      const device = devices.get(wireguardKey);
      const isTheirs = device !== undefined && this.#isOnDisk(host, device, pair);
      check(
        isTheirs || this.#isOnDisk(host, session, pair),
        2,
        () => `${host.name} lets ${session} in with ${pair}, and its disk does not`,
      );
    }
    for (const [name, last] of this.#last) {
      if (!name.startsWith(`${host.name} `)) continue;
      const isPlanned = addresses.has(name.slice(host.name.length + 1));
      if (last.wasPlanned && !isPlanned) rests(last, this.#world.agenda.nowMs);
      if (!isPlanned) continue;
      last.restsSinceMs = undefined;
      last.wasPlanned = true;
      uses(last);
    }
    const planned = new Map(peers.map((peer) => [peer.wireguardKey, peer]));
    for (const device of this.#world.devices) {
      this.#staysLetIn(host, device, planned.get(device.kernel.publicKey));
    }
  }

  /** Invariant 7, at the instance: who carries by it, and is where the controller has had them for a while. */
  #staysLetIn(
    host: InstanceHost,
    device: DeviceHost,
    peer: { readonly ipv4: string | undefined; readonly ipv6: string | undefined } | undefined,
  ): void {
    const { controller, watchers, agenda } = this.#world;
    const id = this.#world.deviceRowOf(device)?.id;
    const session = controller.tables.all("session").find((row) => row.device === id);
    if (session?.place.is !== "attached") return;
    const { place } = session;
    if (place.instance !== this.#world.rowOf(host)?.id) return;
    const changedAtMs = watchers.tables.changedAtMs.get(session.device) ?? 0;
    if (agenda.nowMs - changedAtMs < 5_000 || !isCarrying(this.#world, device, host, place)) return;
    check(
      peer?.ipv4 === place.ipv4 && peer?.ipv6 === place.ipv6,
      7,
      () => `${host.name} no longer lets ${device.name} in, which carries: ${JSON.stringify(session)}`,
    );
  }

  #isOnDisk(host: InstanceHost, holder: string, pair: string): boolean {
    const untilMs = this.#onDiskUntilMs.get(`${host.name} ${holder} ${pair}`);
    return untilMs !== undefined && untilMs >= this.#world.agenda.nowMs;
  }

  #rests(host: InstanceHost, { ipv4, ipv6, device }: LeaseRow, nowMs: number): void {
    for (const address of [ipv4, ipv6]) {
      if (address === undefined) continue;
      const name = `${host.name} ${address}`;
      const last = this.#last.get(name);
      if (last?.device === device) rests(last, nowMs);
      else this.#last.set(name, { device, ...unused, restsSinceMs: nowMs });
    }
  }

  /** Invariants 4 and 13. */
  #leased(host: InstanceHost, row: LeaseRow, desired: StoreBatch["desired"] | undefined): void {
    const { nowMs } = this.#world.agenda;
    const { device } = row;
    for (const address of [row.ipv4, row.ipv6]) {
      if (address === undefined) continue;
      const name = `${host.name} ${address}`;
      const last = this.#last.get(name);
      if (last?.wasUsed && last.device !== device) {
        const restedMs = last.restsSinceMs === undefined ? 0 : nowMs - last.restsSinceMs;
        check(
          restedMs >= this.#world.shape.coolDownMs - 1,
          13,
          () => `${host.name} gives ${address} of ${last.device} to ${device} after ${restedMs} ms`,
        );
      }
      // What was written before and is written again, as after a failure, is no new grant.
      const onDisk = host.disk.leases.get(pairKey(row.ipv4, row.ipv6));
      const wasTheirs = last?.device === device ? last : undefined;
      const isNew = onDisk?.state !== "leased" || onDisk.device !== device;
      const restedSinceMs = wasTheirs?.restsSinceMs ?? wasTheirs?.restedSinceMs;
      this.#last.set(name, { device, ...unused, ...wasTheirs, restsSinceMs: undefined, restedSinceMs });
      if (isNew && desired !== undefined) inPool(host, row, address, desired);
      else if (isNew) this.#wasGranted(host, row);
    }
  }

  /** Invariant 2, of an instance that has lost its database: it leases again what was granted, and nothing else. */
  #wasGranted(host: InstanceHost, { session, ipv4, ipv6 }: LeaseRow): void {
    const instance = this.#world.rowOf(host)?.name;
    const grant = [session?.id, session?.epoch, instance, ipv4, ipv6].join(" ");
    check(
      this.#world.watchers.tables.wasAttached(grant),
      2,
      () => `${host.name} has lost its database, and leases ${grant} that was never granted`,
    );
  }
}

const unused = { wasPlanned: false, wasUsed: false, restedSinceMs: undefined } as const;

function uses(last: LastUse): void {
  last.wasUsed = true;
  last.restedSinceMs = undefined;
}

function rests(last: LastUse, nowMs: number): void {
  last.restsSinceMs ??= last.restedSinceMs ?? nowMs;
}

/**
 * By what it knew when it decided: a pool that is taken away later in the same turn is in the writes of the next. The
 * controller, which took it away before, attaches nobody there by that.
 */
function inPool(
  host: InstanceHost,
  { pool, session }: LeaseRow,
  address: string,
  desired: StoreBatch["desired"],
): void {
  const key = `pool/${pool}`;
  const isOnDisk = !desired.clear && !desired.remove.includes(key);
  const spec = new Map(desired.set).get(key) ?? (isOnDisk ? host.disk.desired.get(key) : undefined);
  const { ipv4, ipv6 } = (spec ?? { ipv4: [], ipv6: [] }) as Readonly<Record<"ipv4" | "ipv6", string[]>>;
  const configured = [...ipv4, ...ipv6];
  const unverified = new Set(rangesOf(host).flatMap(({ prefix, verified }) => (verified ? [] : prefix)));
  check(
    configured.some((range) => !unverified.has(range) && isIn(range, address)),
    4,
    () => `${host.name} leases ${address} to ${session?.id} out of ${JSON.stringify(configured)}`,
  );
}

function rangesOf(host: InstanceHost): readonly { readonly prefix: string; readonly verified: boolean }[] {
  return (
    host.agent
      ?.views(() => host.now)
      .pools()
      .flatMap(({ ranges }) => ranges) ?? []
  );
}

/** Invariant 1. Answers the addresses. */
function checkAddresses(
  holders: Iterable<{ readonly ipv4: string | undefined; readonly ipv6: string | undefined }>,
  where: string,
): ReadonlySet<string> {
  const addresses = new Set<string>();
  for (const { ipv4, ipv6 } of holders) {
    for (const address of [ipv4, ipv6]) {
      if (address === undefined) continue;
      check(!addresses.has(address), 1, () => `${address} stands in two ${where}`);
      addresses.add(address);
    }
  }
  return addresses;
}

/** A lease is its session's, that epoch's of it, and its device's. */
function namesOf(host: InstanceHost, { ipv4, ipv6, session, device }: LeaseRow): string[] {
  const holders = [device, session?.id, `${session?.id}/${session?.epoch}`];
  return holders.map((holder) => `${host.name} ${holder} ${pairKey(ipv4, ipv6)}`);
}
