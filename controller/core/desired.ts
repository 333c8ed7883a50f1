import { tunnelMtu } from "../../protocol/network.ts";
import type { SessionSpec } from "../../protocol/specs.ts";
import { type Attachment, splitKey, stateKey } from "../../protocol/state.ts";
import type { StateSource } from "../../protocol/sync.ts";
import { internetPathMtu } from "../../protocol/tunnel.ts";
import { type Model, servesPool } from "./model.ts";
import type { RestartStage } from "./restart-row.ts";
import type { ConnectorRow, InstanceRow, Leaving, SessionRow } from "./rows.ts";

/** What an instance or a device should be, read from the model at the moment a frame is built: there is no copy. */

const mtu = tunnelMtu(internetPathMtu);

export function instanceSource(model: Model, id: string): StateSource {
  return {
    *keys() {
      const row = model.instances.get(id);
      if (row === undefined) return;
      yield "connector";
      if (row.drainSinceMs !== null) yield "drain";
      if (restartOf(model, row) !== undefined) yield "restart";
      const connector = model.connectors.get(row.connector);
      for (const { pool } of connector?.groups ?? []) if (servesPool(row, pool)) yield stateKey("pool", pool);
      for (const { name } of connector?.resources ?? []) yield stateKey("resource", name);
      for (const session of model.sessionsOn(id)) yield stateKey("session", session);
      for (const session of model.leavingFrom(id)) yield stateKey("session", session);
    },
    get(key) {
      const row = model.instances.get(id);
      const connector = row && model.connectors.get(row.connector);
      return row && connector ? instanceEntry(model, row, connector, splitKey(key)) : undefined;
    },
  };
}

function instanceEntry(
  model: Model,
  row: InstanceRow,
  connector: ConnectorRow,
  { kind, id }: { readonly kind: string; readonly id: string },
): unknown {
  switch (kind) {
    case "connector": {
      const { name, mode, dns, ipv6PoolMatch } = connector;
      return { name, mode, dns, ipv6PoolMatch };
    }
    case "drain":
      return row.drainSinceMs === null ? undefined : { sinceMs: row.drainSinceMs };
    case "restart":
      return restartOf(model, row);
    case "pool": {
      const service = connector.groups.find(({ pool }) => pool === id);
      if (service === undefined || !servesPool(row, id)) return undefined;
      const { group, leaseMinutes } = service;
      return { group, leaseMinutes, ...row.pools[id] };
    }
    case "resource":
      return connector.resources.find(({ name }) => name === id);
    case "session": {
      const session = model.sessions.get(id);
      return session === undefined ? undefined : sessionSpec(model, row.id, session);
    }
  }
  return undefined;
}

function restartOf(model: Model, row: InstanceRow) {
  const id = model.running.get(row.connector)?.restartId;
  const stage: RestartStage | undefined = model.restartStage(row);
  if (stage?.is !== "draining" && stage?.is !== "restarting") return undefined;
  const { process, sinceMs } = stage;
  return { id, process, sinceMs, go: stage.is === "restarting" };
}

function sessionSpec(model: Model, instance: string, session: SessionRow): SessionSpec | undefined {
  const { place, epoch, leaving } = session;
  const device = model.devices.get(session.device);
  if (device === undefined) return undefined;
  const { id, user, wireguardKey } = device;
  if (leaving?.instance === instance) {
    const granted = addresses(leaving.ipv4, leaving.ipv6);
    return { epoch: leaving.epoch, device: id, user, pool: leaving.pool, wireguardKey, granted };
  }
  if (place.is === "waiting" || place.instance !== instance) return undefined;
  const spec = { epoch, device: id, user, pool: place.pool, wireguardKey };
  if (place.is === "placed") return spec;
  return { ...spec, granted: addresses(place.ipv4, place.ipv6) };
}

/**
 * A device is told where it is attached only when the instance has granted it. Before that it is told what it leaves, if
 * that still serves it, or nothing, and then goes on with what it holds.
 */
export function deviceSource(model: Model, id: string): StateSource {
  return {
    keys: () => ["attachment"],
    get: (key) => (key === "attachment" ? attachment(model, id) : undefined),
  };
}

function attachment(model: Model, id: string): Attachment | undefined {
  const session = model.sessionByDevice.get(id);
  const group = model.devices.get(id)?.group;
  if (session === undefined || group === undefined) return undefined;
  const { place, leaving, epoch } = session;
  if (place.is === "attached") return attached(model, session.id, group, { ...place, epoch });
  if (leaving !== null) return attached(model, session.id, group, leaving);
  return place.is === "waiting" ? { state: "waiting", code: place.code } : undefined;
}

function attached(
  model: Model,
  session: string,
  group: string,
  at: Pick<Leaving, "instance" | "epoch" | "ipv4" | "ipv6">,
): Attachment | undefined {
  const instance = model.instances.get(at.instance);
  const connector = instance && model.connectors.get(instance.connector);
  if (instance === undefined || connector === undefined || instance.endpoint === null) return undefined;
  return {
    state: "attached",
    session,
    epoch: at.epoch,
    instance: instance.name,
    endpoint: instance.endpoint,
    wireguardKey: instance.wireguardKey,
    ...addresses(at.ipv4, at.ipv6),
    dns: connector.dns,
    mtu,
    ...reachable(connector, group, instance),
  };
}

interface Reachable {
  readonly routes: string[];
  readonly domains: string[];
}

/**
 * Worked out once per connector row, VPC of an instance and group: twenty thousand devices share it. The lists are those
 * of the rows, which are replaced when they change.
 */
const reachableOf = new WeakMap<ConnectorRow, WeakMap<readonly string[], Map<string, Reachable>>>();

function reachable(connector: ConnectorRow, group: string, { vpcCidrs }: InstanceRow): Reachable {
  const byVpc = reachableOf.get(connector) ?? new WeakMap<readonly string[], Map<string, Reachable>>();
  reachableOf.set(connector, byVpc);
  const byGroup = byVpc.get(vpcCidrs) ?? new Map<string, Reachable>();
  byVpc.set(vpcCidrs, byGroup);
  const found = byGroup.get(group) ?? reachableIn(connector, group, vpcCidrs);
  byGroup.set(group, found);
  return found;
}

/**
 * What is named by domain has its address only when somebody asks for it, and a route must be there before: so the networks
 * it may be in are routed whole. What of them is reached, the instance decides.
 */
function reachableIn(
  { resources, networks }: ConnectorRow,
  group: string,
  vpcCidrs: readonly string[],
): Reachable {
  const routes = new Set<string>();
  const domains = new Set<string>();
  for (const { destination, groups } of resources) {
    if (!groups.includes(group)) continue;
    if ("cidr" in destination) routes.add(destination.cidr);
    else domains.add(destination.domain);
  }
  if (domains.size > 0) for (const cidr of [...vpcCidrs, ...networks]) routes.add(cidr);
  return { routes: [...routes], domains: [...domains] };
}

function addresses(ipv4: string | undefined, ipv6: string | undefined) {
  return { ...(ipv4 === undefined ? {} : { ipv4 }), ...(ipv6 === undefined ? {} : { ipv6 }) };
}
