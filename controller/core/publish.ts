import { stateKey } from "../../protocol/state.ts";
import type { Model } from "./model.ts";
import type { Peers } from "./peers.ts";
import { currentStep } from "./restart-row.ts";
import type { Change, ConnectorRow, InstanceRow, SessionRow } from "./rows.ts";

/**
 * Applies a stored change to the model and marks on the links what it changed for whom. Only marks: the frames are
 * built from the model when they are sent.
 */
export function publish(change: Change, model: Model, peers: Peers): void {
  switch (change.table) {
    case "connector": {
      const before = model.connectors.get("put" in change ? change.put.name : change.remove);
      model.apply(change);
      if ("put" in change && before !== undefined) connectorChanged(before, change.put, model, peers);
      break;
    }
    case "instance": {
      const before = model.instances.get("put" in change ? change.put.id : change.remove);
      model.apply(change);
      if ("put" in change && before !== undefined) instanceChanged(before, change.put, model, peers);
      break;
    }
    case "device": {
      model.apply(change);
      const session = "put" in change ? model.sessionByDevice.get(change.put.id) : undefined;
      if (session !== undefined) touchInstances(session, peers);
      break;
    }
    case "session": {
      const before = model.sessions.get("put" in change ? change.put.id : change.remove);
      model.apply(change);
      sessionChanged(before, "put" in change ? change.put : undefined, peers);
      break;
    }
    case "restart":
      restartChanged(change, model, peers);
      break;
    case "group":
    case "otp":
    case "deviceCode":
    case "carrier":
    case "token":
    case "counter":
      model.apply(change);
      break;
  }
}

function sessionChanged(before: SessionRow | undefined, after: SessionRow | undefined, peers: Peers): void {
  const device = (after ?? before)?.device;
  if (device !== undefined) peers.touch("device", device, "attachment");
  // An instance that granted knows what it granted: nothing changes for it.
  const isGrant =
    before !== undefined &&
    after?.place.is === "attached" &&
    before.epoch === after.epoch &&
    before.place.is !== "waiting";
  // What an instance is told of a session that leaves it changes only when that begins or ends.
  if (before?.leaving?.epoch !== after?.leaving?.epoch) {
    for (const row of [before, after]) if (row?.leaving != null) touch(row.leaving.instance, row, peers);
  }
  if (isGrant) return;
  if (before !== undefined) touchInstance(before, peers);
  if (after !== undefined) touchInstance(after, peers);
}

function touchInstances(session: SessionRow, peers: Peers): void {
  touchInstance(session, peers);
  if (session.leaving !== null) touch(session.leaving.instance, session, peers);
}

function touchInstance(session: SessionRow, peers: Peers): void {
  if (session.place.is !== "waiting") touch(session.place.instance, session, peers);
}

function touch(instance: string, { id }: SessionRow, peers: Peers): void {
  peers.touch("agent", instance, stateKey("session", id));
}

function instanceChanged(before: InstanceRow, after: InstanceRow, model: Model, peers: Peers): void {
  if (before.drainSinceMs !== after.drainSinceMs) peers.touch("agent", after.id, "drain");
  for (const pool of new Set([...Object.keys(before.pools), ...Object.keys(after.pools)])) {
    const isSame = JSON.stringify(before.pools[pool]) === JSON.stringify(after.pools[pool]);
    if (!isSame) peers.touch("agent", after.id, stateKey("pool", pool));
  }
  const areRoutesSame = before.vpcCidrs === after.vpcCidrs;
  if (before.endpoint === after.endpoint && before.wireguardKey === after.wireguardKey && areRoutesSame)
    return;
  for (const id of [...model.sessionsOn(after.id), ...model.leavingFrom(after.id)]) {
    const device = model.sessions.get(id)?.device;
    if (device !== undefined) peers.touch("device", device, "attachment");
  }
}

/** Only whose turn it is, or was, is told something of it. */
function restartChanged(change: Change & { table: "restart" }, model: Model, peers: Peers): void {
  const name = "put" in change ? change.put.name : change.remove;
  const before = currentStep(model.running.get(name));
  model.apply(change);
  const after = currentStep(model.running.get(name));
  for (const instance of new Set([before?.instance, after?.instance]))
    if (instance !== undefined) peers.touch("agent", instance, "restart");
}

function connectorChanged(before: ConnectorRow, after: ConnectorRow, model: Model, peers: Peers): void {
  const keys = new Set(["connector"]);
  for (const { pool } of [...before.groups, ...after.groups]) keys.add(stateKey("pool", pool));
  const kept = new Set(after.resources.filter((resource) => before.resources.includes(resource)));
  for (const resource of [...before.resources, ...after.resources]) {
    if (!kept.has(resource)) keys.add(stateKey("resource", resource.name));
  }
  for (const { id } of model.instancesOf(after.name)) for (const key of keys) peers.touch("agent", id, key);
  for (const { group } of after.groups) {
    for (const device of model.devicesOf(group)) peers.touch("device", device, "attachment");
  }
}
