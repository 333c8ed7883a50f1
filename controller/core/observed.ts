import { isVpcCidr } from "../../protocol/address.ts";
import { Failure, success } from "../../protocol/failures.ts";
import {
  type AgentObserved,
  agentObserved,
  type DeviceObserved,
  deviceObserved,
  type Entry,
  parseEntry,
  type SessionOutcome,
  type StateShape,
  splitKey,
} from "../../protocol/state.ts";
import type { Received } from "../../protocol/sync.ts";
import { poolsMax } from "./fleet.ts";
import type { OpenPeer } from "./peers.ts";
import { nothing, put } from "./rows.ts";
import type { World } from "./world.ts";

type Change = Extract<Received, { is: "change" }>;

/** Takes in what a peer says it is. Answers the failure when it says it in a wrong shape; then nothing was taken. */
export function observe(world: World, peer: OpenPeer, change: Change): Failure | undefined {
  switch (peer.state.role) {
    case "agent": {
      const entries = parseAll(agentObserved, change);
      if (entries instanceof Failure) return entries;
      observeAgent(world, peer.state.id, change, entries);
      return undefined;
    }
    case "device": {
      const entries = parseAll(deviceObserved, change);
      if (entries instanceof Failure) return entries;
      observeDevice(world, peer.state.id, change, entries);
      return undefined;
    }
  }
}

function parseAll<Shape extends StateShape>(shape: Shape, { set }: Change): Entry<Shape>[] | Failure {
  const entries: Entry<Shape>[] = [];
  for (const [key, value] of set) {
    const parsed = parseEntry(shape, key, value);
    switch (parsed.is) {
      case "entry":
        entries.push(parsed.entry);
        break;
      case "unknown":
        break;
      case "malformed":
        return new Failure("protocol.malformed", { where: parsed.where.slice(0, 256) });
    }
  }
  return entries;
}

function observeAgent(
  world: World,
  id: string,
  change: Change,
  entries: readonly Entry<AgentObserved>[],
): void {
  const facts = world.fleet.instance(id);
  if (facts === undefined) return;
  const { resting } = world.fleet;
  if (change.snapshot) facts.pools.clear();
  if (change.snapshot) resting.forget(id);
  for (const gone of change.remove.map(splitKey)) {
    if (gone.kind === "pool") facts.pools.delete(gone.id);
    if (gone.kind === "lease") resting.isOver(id, gone.id);
  }
  for (const entry of entries) {
    switch (entry.kind) {
      case "instance":
        world.fleet.instanceReports(id, entry.value, world.now);
        break;
      case "pool":
        if (facts.pools.size < poolsMax || facts.pools.has(entry.id)) facts.pools.set(entry.id, entry.value);
        facts.revision += 1;
        break;
      case "prefixes":
        facts.prefixes = entry.value;
        facts.vpcCidrs = vpcCidrsOf(entry.value.vpcCidrs ?? []);
        break;
      case "session":
        observeOutcome(world, id, entry.id, entry.value);
        break;
      case "lease":
        // A quarantined one is no good to anybody.
        if (entry.value.state === "cooling") resting.rests(id, entry.id);
        else resting.isOver(id, entry.id);
        break;
    }
  }
  keepReported(world, id);
  world.judge.look(id);
  world.placer.wake(world.now);
}

/**
 * Only the instance that holds the session, and only about the epoch it has, is believed; of a higher one it may have been
 * told by a controller whose database was newer.
 */
function observeOutcome(world: World, instance: string, id: string, outcome: SessionOutcome): void {
  const session = world.model.sessions.get(id);
  if (session === undefined) return;
  const { place, leaving } = session;
  if (leaving?.instance === instance && leaving.epoch === outcome.epoch) {
    world.placer.heard(session, outcome);
    return;
  }
  if (place.is === "waiting" || place.instance !== instance || outcome.epoch < session.epoch) return;
  const isKnown =
    outcome.outcome === "granted" &&
    outcome.epoch === session.epoch &&
    place.is === "attached" &&
    place.ipv4 === outcome.ipv4 &&
    place.ipv6 === outcome.ipv6;
  if (isKnown) world.placer.heardAgain(session, outcome);
  else world.placer.heard(session, outcome);
}

/**
 * Where devices dial and what they route is stored, so that a controller that restarts can tell them before the instance
 * is back. What an instance has not said, or cannot say of late, stays.
 */
export function keepReported({ model, fleet, pipeline }: World, id: string): void {
  const facts = fleet.instance(id);
  const changed = () => {
    const row = model.instances.get(id);
    if (row === undefined) return undefined;
    const endpoint = facts?.report?.endpoint ?? row.endpoint;
    const told = facts?.vpcCidrs ?? row.vpcCidrs;
    const vpcCidrs = told.join() === row.vpcCidrs.join() ? row.vpcCidrs : told;
    return endpoint === row.endpoint && vpcCidrs === row.vpcCidrs
      ? undefined
      : { ...row, endpoint, vpcCidrs };
  };
  // What changes again while this waits is seen by the next sweep.
  if (facts === undefined || facts.isRowQueued || changed() === undefined) return;
  facts.isRowQueued = true;
  const over = () => {
    facts.isRowQueued = false;
  };
  pipeline.add({
    decide: () => {
      const row = changed();
      const plan = row === undefined ? nothing : { changes: [put("instance", row)], audit: [] };
      return success({ plan, done: over });
    },
    failed: over,
  });
}

/**
 * Told to every device of the instance as routes: only what AWS makes a VPC of, so that no instance can draw a device's
 * other traffic into its tunnel. None at all is no VPC, and says nothing.
 */
function vpcCidrsOf(told: readonly string[]): readonly string[] | undefined {
  const cidrs = [...new Set(told)].filter(isVpcCidr).toSorted();
  return cidrs.length === 0 ? undefined : cidrs;
}

function observeDevice(
  world: World,
  id: string,
  change: Change,
  entries: readonly Entry<DeviceObserved>[],
): void {
  const facts = world.fleet.device(id);
  if (facts === undefined) return;
  if (change.snapshot || change.remove.includes("held")) facts.held = undefined;
  if (change.snapshot || change.remove.includes("path")) facts.path = undefined;
  for (const entry of entries) {
    switch (entry.kind) {
      case "device":
        facts.report = entry.value;
        break;
      case "held":
        facts.held = entry.value;
        break;
      case "path":
        facts.path = entry.value;
        break;
    }
  }
  world.judge.hear(id, world.now);
  world.placer.look(id);
}
