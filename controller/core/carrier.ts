import type { Fleet } from "./fleet.ts";
import type { MoveReason, Verdict } from "./judgement.ts";
import { reasonOf } from "./judgement.ts";
import type { Model } from "./model.ts";
import type { CarrierRow, InstanceRow } from "./rows.ts";

/** In active-standby one instance carries all sessions, and the other stands by. */
export type Role = "carrier" | "standby";

export function roleOf({ id, connector }: InstanceRow, model: Model): Role | undefined {
  if (model.connectors.get(connector)?.mode !== "active-standby") return undefined;
  return model.carriers.get(connector)?.instance === id ? "carrier" : "standby";
}

/** Whether an administrator has let the other one carry, and sessions are here still that are to come over to it. */
export function isRelieved(instance: string, model: Model): boolean {
  const row = model.instances.get(instance);
  const carrier = row && model.carriers.get(row.connector);
  if (carrier === undefined || carrier.instance === instance || carrier.why !== "failover") return false;
  return model.sessionsOn(instance).size > 0;
}

/** Why another one carries now: nothing did before, or what was wrong with the one that did. */
export type CarrierReason = MoveReason | "first" | "removed" | "not-active";

export interface Choice {
  readonly instance: string;
  readonly reason: CarrierReason;
}

export interface Sight {
  readonly model: Model;
  readonly fleet: Fleet;
  /** Of the instance itself, whoever carries. */
  readonly verdictOf: (instance: string) => Verdict;
  /** How long the one that carries may be without Active before the other takes over. */
  readonly graceMs: number;
  readonly nowMs: number;
}

/**
 * Who is to carry instead, if anybody. The one that carries goes on until it leaves, is gone, or is not Active for longer
 * than a restart takes; and then only if the other is ready. It is not taken back from who has it: that takes a command.
 */
export function otherCarrier(
  connector: string,
  current: CarrierRow | undefined,
  sight: Sight,
): Choice | undefined {
  const reason = current === undefined ? "first" : whyNot(current.instance, sight);
  if (reason === undefined) return undefined;
  const ready = sight.model
    .instancesOf(connector)
    .filter((row) => row.id !== current?.instance && isReady(row, sight));
  const [chosen] = ready.toSorted((a, b) => byLoadAndAge(a, b, sight.model));
  return chosen && { instance: chosen.id, reason };
}

/** When the same facts may give another answer; undefined: never. */
export function carrierDeadline(current: CarrierRow | undefined, sight: Sight): number | undefined {
  const facts = current && sight.fleet.instance(current.instance);
  if (facts?.link === undefined || facts.notActiveSinceMs === undefined) return undefined;
  const atMs = facts.notActiveSinceMs + sight.graceMs;
  return atMs > sight.nowMs ? atMs : undefined;
}

function whyNot(instance: string, { model, fleet, verdictOf, graceMs, nowMs }: Sight) {
  if (!model.instances.has(instance)) return "removed";
  const verdict = verdictOf(instance);
  if (verdict.is !== "serving") return reasonOf(verdict);
  const facts = fleet.instance(instance);
  // Without a link it has the grace of the verdict.
  if (facts?.link === undefined || facts.notActiveSinceMs === undefined) return undefined;
  return nowMs >= facts.notActiveSinceMs + graceMs ? "not-active" : undefined;
}

function isReady({ id, drainSinceMs }: InstanceRow, { fleet, verdictOf }: Sight): boolean {
  const facts = fleet.instance(id);
  const isActive = facts?.link !== undefined && facts.report?.status === "Active";
  return isActive && drainSinceMs === null && verdictOf(id).is === "serving";
}

/** Who has sessions keeps them; of equals the first that enrolled, which has the lower name. */
function byLoadAndAge(a: InstanceRow, b: InstanceRow, model: Model): number {
  return model.sessionsOn(b.id).size - model.sessionsOn(a.id).size || (a.name < b.name ? -1 : 1);
}
