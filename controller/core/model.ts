import type { GroupPool } from "./admin.ts";
import type { RestartRow, RestartStage } from "./restart-row.ts";
import type {
  CarrierRow,
  Change,
  ConnectorRow,
  DeviceCodeRow,
  DeviceRow,
  GroupRow,
  InstanceRow,
  Leaving,
  OtpRow,
  SessionRow,
  Tables,
  TokenRow,
} from "./rows.ts";

/**
 * Everything that is stored, in memory, with the indexes that decisions need. It changes only through `apply`, and
 * only with what the store has confirmed: whoever reads it never sees something that a crash could take back.
 *
 * Secrets are looked up by their SHA-256 in a hash map. The comparison need not be constant-time: what its timing
 * could reveal is a hash, and nobody can steer the hash of a guess. A slow hash is not needed either, because the
 * secrets are random (≥ 128 bits), not chosen by people.
 */
export class Model {
  readonly connectors = new Map<string, ConnectorRow>();
  readonly groups = new Map<string, GroupRow>();
  readonly otps = new Map<string, OtpRow>();
  readonly deviceCodes = new Map<string, DeviceCodeRow>();
  readonly instances = new Map<string, InstanceRow>();
  readonly devices = new Map<string, DeviceRow>();
  readonly sessions = new Map<string, SessionRow>();
  /** By connector. */
  readonly carriers = new Map<string, CarrierRow>();
  readonly tokens = new Map<string, TokenRow>();
  /** The last rolling restart of each connector, by the connector's name. */
  readonly restarts = new Map<string, RestartRow>();
  instancesEver = 0;
  /** Raised with every change of the tokens. */
  tokensRevision = 0;

  readonly otpByHash = new Map<string, OtpRow>();
  readonly codeByHash = new Map<string, DeviceCodeRow>();
  readonly tokenByHash = new Map<string, TokenRow>();
  readonly instanceByName = new Map<string, InstanceRow>();
  readonly instanceByKey = new Map<string, InstanceRow>();
  readonly instanceByEc2Id = new Map<string, InstanceRow>();
  readonly deviceByKey = new Map<string, DeviceRow>();
  readonly deviceByWireguardKey = new Map<string, DeviceRow>();
  /** A device has one session at most. */
  readonly sessionByDevice = new Map<string, SessionRow>();
  /** Which connector serves a group, and with which pool. One does, at most. */
  readonly serviceOf = new Map<string, { readonly connector: string; readonly pool: GroupPool }>();

  /** Those of `restarts` that run. */
  readonly running = new Map<string, RestartRow>();

  readonly #instancesOf = new Map<string, Set<string>>();
  readonly #devicesOf = new Map<string, Set<string>>();
  readonly #sessionsOn = new Map<string, Set<string>>();
  readonly #leavingFrom = new Map<string, Set<string>>();
  /** By instance, the session that holds an address of it. */
  readonly #holders = new Map<string, Map<string, string>>();
  /** Sessions placed but not yet granted, by instance and pool: addresses that are as good as taken. */
  readonly #inFlight = new Map<string, number>();
  /** The ids of the sessions without a place. */
  readonly waiting = new Set<string>();
  readonly #states = { waiting: 0, placed: 0, attached: 0, leaving: 0 };

  apply(change: Change): void {
    switch (change.table) {
      case "connector":
        this.#connector(change);
        break;
      case "group":
        replace(this.groups, change, (row) => row.name);
        break;
      case "otp":
        replace(this.otps, change, (row) => row.id, [this.otpByHash, (row) => row.hash]);
        break;
      case "deviceCode":
        replace(this.deviceCodes, change, (row) => row.id, [this.codeByHash, (row) => row.hash]);
        break;
      case "token":
        this.tokensRevision += 1;
        replace(this.tokens, change, (row) => row.name, [this.tokenByHash, (row) => row.hash]);
        break;
      case "instance":
        this.#instance(change);
        break;
      case "device":
        this.#device(change);
        break;
      case "session":
        this.#session(change);
        break;
      case "carrier":
        replace(this.carriers, change, (row) => row.name);
        break;
      case "counter":
        if ("put" in change) this.instancesEver = change.put.value;
        break;
      case "restart":
        replace(this.restarts, change, (row) => row.name);
        if ("put" in change && change.put.outcome === null) this.running.set(change.put.name, change.put);
        else this.running.delete("put" in change ? change.put.name : change.remove);
        break;
    }
  }

  instancesOf(connector: string): InstanceRow[] {
    return rows(this.#instancesOf.get(connector), this.instances);
  }

  /** Where an instance is in the rolling restart of its connector; undefined when none runs, or it came later. */
  restartStage({ id, connector }: InstanceRow): RestartStage | undefined {
    return this.running.get(connector)?.steps.find(({ instance }) => instance === id)?.stage;
  }

  /** The ids of a group's devices. */
  devicesOf(group: string): ReadonlySet<string> {
    return this.#devicesOf.get(group) ?? none;
  }

  /** The ids of the sessions placed on or attached to an instance: its load. */
  sessionsOn(instance: string): ReadonlySet<string> {
    return this.#sessionsOn.get(instance) ?? none;
  }

  /** The ids of the sessions that an instance still serves though they have or seek a place elsewhere: no load of it. */
  leavingFrom(instance: string): ReadonlySet<string> {
    return this.#leavingFrom.get(instance) ?? none;
  }

  /** The session that has this address of an instance, also one that leaves it. */
  holderOf(instance: string, address: string): string | undefined {
    return this.#holders.get(instance)?.get(address);
  }

  inFlight(instance: string, pool: string): number {
    return this.#inFlight.get(`${instance}/${pool}`) ?? 0;
  }

  /** `leaving` are counted in their state, too. */
  sessionCounts(): Readonly<Record<"waiting" | "placed" | "attached" | "leaving", number>> {
    return { ...this.#states };
  }

  #connector(change: Change & { table: "connector" }): void {
    const before = this.connectors.get("put" in change ? change.put.name : change.remove);
    for (const { group } of before?.groups ?? []) this.serviceOf.delete(group);
    replace(this.connectors, change, (row) => row.name);
    if (!("put" in change)) return;
    for (const pool of change.put.groups) {
      this.serviceOf.set(pool.group, { connector: change.put.name, pool });
    }
  }

  #instance(change: Change & { table: "instance" }): void {
    const before = this.instances.get("put" in change ? change.put.id : change.remove);
    if (before !== undefined) leave(this.#instancesOf, before.connector, before.id);
    replace(
      this.instances,
      change,
      (row) => row.id,
      [this.instanceByName, (row) => row.name],
      [this.instanceByKey, (row) => row.identityKey],
      [this.instanceByEc2Id, (row) => row.ec2InstanceId],
    );
    if ("put" in change) enter(this.#instancesOf, change.put.connector, change.put.id);
  }

  #device(change: Change & { table: "device" }): void {
    const before = this.devices.get("put" in change ? change.put.id : change.remove);
    if (before !== undefined) leave(this.#devicesOf, before.group, before.id);
    replace(
      this.devices,
      change,
      (row) => row.id,
      [this.deviceByKey, (row) => row.identityKey],
      [this.deviceByWireguardKey, (row) => row.wireguardKey],
    );
    if ("put" in change) enter(this.#devicesOf, change.put.group, change.put.id);
  }

  #session(change: Change & { table: "session" }): void {
    const before = this.sessions.get("put" in change ? change.put.id : change.remove);
    if (before !== undefined) this.#count(before, -1);
    replace(this.sessions, change, (row) => row.id, [this.sessionByDevice, (row) => row.device]);
    if ("put" in change) this.#count(change.put, 1);
  }

  #count(session: SessionRow, by: 1 | -1): void {
    const { id, place, leaving } = session;
    this.#states[place.is] += by;
    if (leaving !== null) this.#countLeaving(id, leaving, by);
    if (place.is === "waiting") {
      if (by > 0) this.waiting.add(id);
      else this.waiting.delete(id);
      return;
    }
    if (by > 0) enter(this.#sessionsOn, place.instance, id);
    else leave(this.#sessionsOn, place.instance, id);
    if (place.is === "attached") {
      this.#holdAll(place, id, by);
      return;
    }
    const key = `${place.instance}/${place.pool}`;
    const count = (this.#inFlight.get(key) ?? 0) + by;
    if (count > 0) this.#inFlight.set(key, count);
    else this.#inFlight.delete(key);
  }

  #countLeaving(id: string, leaving: Leaving, by: 1 | -1): void {
    this.#states.leaving += by;
    if (by > 0) enter(this.#leavingFrom, leaving.instance, id);
    else leave(this.#leavingFrom, leaving.instance, id);
    this.#holdAll(leaving, id, by);
  }

  #holdAll(
    { instance, ipv4, ipv6 }: Pick<Leaving, "instance" | "ipv4" | "ipv6">,
    id: string,
    by: 1 | -1,
  ): void {
    for (const address of [ipv4, ipv6]) if (address !== undefined) this.#hold(instance, address, id, by);
  }

  #hold(instance: string, address: string, session: string, by: 1 | -1): void {
    const held = this.#holders.get(instance) ?? new Map<string, string>();
    if (by > 0) held.set(address, session);
    else if (held.get(address) === session) held.delete(address);
    if (held.size > 0) this.#holders.set(instance, held);
    else this.#holders.delete(instance);
  }
}

const none: ReadonlySet<string> = new Set();

type Index<Row> = readonly [map: Map<string, Row>, keyOf: (row: Row) => string];

/** Puts or removes a row, and keeps its indexes with it. */
function replace<Row extends Tables[keyof Tables]>(
  map: Map<string, Row>,
  change: { readonly put: Row } | { readonly remove: string },
  keyOf: (row: Row) => string,
  ...indexes: readonly Index<Row>[]
): void {
  const key = "put" in change ? keyOf(change.put) : change.remove;
  const before = map.get(key);
  if (before !== undefined) for (const [index, of] of indexes) index.delete(of(before));
  if ("put" in change) {
    map.set(key, change.put);
    for (const [index, of] of indexes) index.set(of(change.put), change.put);
  } else map.delete(key);
}

function enter(sets: Map<string, Set<string>>, key: string, id: string): void {
  const set = sets.get(key);
  if (set === undefined) sets.set(key, new Set([id]));
  else set.add(id);
}

function leave(sets: Map<string, Set<string>>, key: string, id: string): void {
  const set = sets.get(key);
  set?.delete(id);
  if (set?.size === 0) sets.delete(key);
}

function rows<Row>(ids: ReadonlySet<string> | undefined, map: ReadonlyMap<string, Row>): Row[] {
  return [...(ids ?? none)].flatMap((id) => map.get(id) ?? []);
}

/** Whether an instance has at least one range for a pool. */
export function servesPool(instance: InstanceRow, pool: string): boolean {
  const ranges = Object.hasOwn(instance.pools, pool) ? instance.pools[pool] : undefined;
  return ranges !== undefined && ranges.ipv4.length + ranges.ipv6.length > 0;
}
