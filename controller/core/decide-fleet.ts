import { type Result, success } from "../../protocol/failures.ts";
import { auditOf, type DecideContext, type Deciders, type Decision, notFound } from "./decision.ts";
import { isInPool, isInRanges } from "./grants.ts";
import type { MoveReason } from "./judgement.ts";
import type { Model } from "./model.ts";
import { checkPools } from "./pools.ts";
import { type Change, type InstanceRow, put, remove, type SessionRow } from "./rows.ts";
import type { InstanceView } from "./views.ts";

/** What is out there: instances with their pools, devices, sessions. */
export const fleetDeciders: Deciders<
  | "instance.pools.set"
  | "instance.drain"
  | "instance.resume"
  | "instance.remove"
  | "device.remove"
  | "session.end"
> = {
  "instance.pools.set": ({ instance, pools }, context) => {
    const { model } = context;
    const before = model.instanceByName.get(instance);
    const connector = before === undefined ? undefined : model.connectors.get(before.connector);
    if (before === undefined || connector === undefined) return notFound("instance", instance);
    const checked = checkPools(pools, before, connector, model.instancesOf(connector.name));
    if (!checked.ok) return checked;
    // The address goes with the range: the next instance to get the range may grant it.
    const homeless = sessionsOn(before, model).filter(({ place }) => !isInRanges(place, checked.value));
    const left = leavingFrom(before, model).filter(
      ({ leaving }) => leaving !== null && !isInPool(leaving, checked.value, leaving.pool),
    );
    const after = { ...before, pools: checked.value };
    const consequences = [...homeless.map((session) => sentAway(session, "range")), ...left.map(letGo)];
    return changed("instance.pools.set", before, after, context, consequences);
  },

  "instance.drain": ({ instance }, context) => {
    const before = context.model.instanceByName.get(instance);
    if (before === undefined) return notFound("instance", instance);
    const drainSinceMs = before.drainSinceMs ?? context.nowMs;
    return changed("instance.drain", before, { ...before, drainSinceMs }, context);
  },

  "instance.resume": ({ instance }, context) => {
    const before = context.model.instanceByName.get(instance);
    if (before === undefined) return notFound("instance", instance);
    return changed("instance.resume", before, { ...before, drainSinceMs: null }, context);
  },

  "instance.remove": ({ instance }, context) => {
    const { model, views } = context;
    const row = model.instanceByName.get(instance);
    const view = views.instance(instance);
    if (row === undefined || view === undefined) return notFound("instance", instance);
    const sessions = [
      ...sessionsOn(row, model).map((session) => sentAway(session, "removed")),
      ...leavingFrom(row, model).map(letGo),
    ];
    const changes = [remove("instance", row.id), ...sessions];
    const audit = [auditOf(context, "instance.remove", `instance/${instance}`, row, null)];
    return success({ plan: { changes, audit }, answer: () => view });
  },

  "device.remove": ({ device }, context) => {
    const { model, views } = context;
    const row = model.devices.get(device);
    const view = views.device(device);
    if (row === undefined || view === undefined) return notFound("device", device);
    const session = model.sessionByDevice.get(device);
    const changes: Change[] = [remove("device", device)];
    if (session !== undefined) changes.push(remove("session", session.id));
    const audit = [auditOf(context, "device.remove", `device/${device}`, row, null)];
    return success({ plan: { changes, audit }, answer: () => view });
  },

  "session.end": ({ session }, context) => {
    const row = context.model.sessions.get(session);
    const view = context.views.session(session);
    if (row === undefined || view === undefined) return notFound("session", session);
    const audit = [auditOf(context, "session.end", `session/${session}`, row, null)];
    return success({ plan: { changes: [remove("session", session)], audit }, answer: () => view });
  },
};

function sessionsOn({ id }: InstanceRow, model: Model): SessionRow[] {
  return [...model.sessionsOn(id)].flatMap((session) => model.sessions.get(session) ?? []);
}

function leavingFrom({ id }: InstanceRow, model: Model): SessionRow[] {
  return [...model.leavingFrom(id)].flatMap((session) => model.sessions.get(session) ?? []);
}

/** The next pass finds it another place. */
function sentAway(session: SessionRow, reason: MoveReason): Change {
  const { place: before, leaving: left } = session;
  const place = { is: "waiting", code: "placement.no-instance" } as const;
  const leaving = left && { ...left, untilMs: null };
  const lost = before.is === "attached" ? { instance: before.instance, reason } : session.lost;
  return put("session", { ...session, epoch: session.epoch + 1, place, leaving, lost });
}

/** What it leaves is no more. */
function letGo(session: SessionRow): Change {
  return put("session", { ...session, leaving: null });
}

function changed(
  action: string,
  before: InstanceRow,
  after: InstanceRow,
  context: DecideContext,
  consequences: readonly Change[] = [],
): Result<Decision<InstanceView>> {
  const audit = [auditOf(context, action, `instance/${after.name}`, before, after)];
  return success({
    plan: { changes: [put("instance", after), ...consequences], audit },
    answer: (views) => {
      const view = views.instance(after.name);
      if (view === undefined) throw new Error("a stored instance has a view");
      return view;
    },
  });
}
