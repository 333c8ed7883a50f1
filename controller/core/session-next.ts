import type { FailureCode } from "../../protocol/failures.ts";
import type { SessionOutcome } from "../../protocol/state.ts";
import type { DeviceFacts } from "./fleet.ts";
import type { Fate } from "./judgement.ts";
import type { Place } from "./placement.ts";
import type { Leaving, SessionPlace, SessionRow } from "./rows.ts";

/** What deciding one session needs from its pass. */
export interface PassContext {
  readonly device: string;
  readonly isSettled: boolean;
  /** What the evidence about its instance means for it. */
  readonly fate: Fate;
  /** When the place it leaves is to end, if its new one is granted now: wall clock. */
  readonly leaveByMs: number;
  readonly newId: () => string;
  readonly take: () => Place | FailureCode;
  /** The same for who comes back: where its address rests for it, if that is good. */
  readonly takeHome: () => Place | FailureCode;
  readonly leave: (instance: string, inFlightPool: string | undefined) => void;
}

/**
 * Whoever claims a higher epoch than this is lying: at a thousand moves a second it would take decades to get there.
 * Above it there is room for every move that is still to come.
 */
const claimedEpochMax = 2 ** 40;

/**
 * What a device's session is next: undefined for none, the same object for no change. The whole life of a session is
 * in this file. A session is sticky: it stays where it is as long as its instance has not refused or ended it and the
 * evidence does not say otherwise (`fate`), and also then while there is no other place for it.
 */
export function nextSession(
  session: SessionRow | undefined,
  outcome: SessionOutcome | undefined,
  device: DeviceFacts | undefined,
  pass: PassContext,
): SessionRow | undefined {
  const wants = device?.report?.wants;
  if (wants === "detached") {
    if (session !== undefined) leave(session, pass);
    return undefined;
  }
  if (session === undefined) {
    const isWanted = wants === "attached" && device?.link !== undefined && pass.isSettled;
    if (!isWanted) return undefined;
    return {
      id: pass.newId(),
      device: pass.device,
      epoch: 1,
      place: placeOf(pass.takeHome()),
      leaving: null,
    };
  }
  switch (session.place.is) {
    case "waiting":
      return afterWaiting(session, session.place, device, pass);
    case "placed":
    case "attached":
      return afterPlaced(session, session.place, outcome, device, pass);
  }
}

function afterWaiting(
  session: SessionRow,
  place: SessionPlace & { is: "waiting" },
  device: DeviceFacts | undefined,
  pass: PassContext,
): SessionRow | undefined {
  if (!pass.isSettled) return session;
  // Nobody waits on behalf of a device that is away and that nobody serves; it asks again when it is back.
  if (device?.link === undefined && session.leaving === null) return undefined;
  const next = placeOf(pass.take());
  return next.is === "waiting" && next.code === place.code ? session : at(session, session.epoch, next);
}

function afterPlaced(
  session: SessionRow,
  place: Exclude<SessionPlace, { is: "waiting" }>,
  outcome: SessionOutcome | undefined,
  device: DeviceFacts | undefined,
  pass: PassContext,
): SessionRow | undefined {
  const claimed = claimedEpoch(session, outcome, device);
  if (claimed > session.epoch && claimed < claimedEpochMax) {
    // Device or instance were told of an epoch that this database has forgotten: only a higher one will be believed.
    const { instance, pool } = place;
    return at(session, claimed + 1, { is: "placed", instance, pool });
  }
  if (outcome === undefined || outcome.epoch !== session.epoch) return afterEvidence(session, place, pass);
  switch (outcome.outcome) {
    case "granted": {
      const { ipv4, ipv6 } = outcome;
      if (place.is === "attached" && place.ipv4 === ipv4 && place.ipv6 === ipv6)
        return afterEvidence(session, place, pass);
      const { instance, pool } = place;
      const leaving = session.leaving && { ...session.leaving, untilMs: pass.leaveByMs };
      return { ...session, place: { is: "attached", instance, pool, ipv4, ipv6 }, leaving };
    }
    case "refused":
    case "ended": {
      leave(session, pass);
      const isServed = device?.link !== undefined || session.leaving !== null;
      if (outcome.code === "lease.expired" && !isServed) return undefined;
      return at(session, session.epoch + 1, nextPlace(pass));
    }
  }
}

/** The highest epoch that those who serve and use the session speak of. */
function claimedEpoch(
  { id }: SessionRow,
  outcome: SessionOutcome | undefined,
  device: DeviceFacts | undefined,
): number {
  const held = device?.held?.session === id ? device.held.epoch : 0;
  return Math.max(held, outcome?.epoch ?? 0);
}

/** Moved because of what is known of its instance. Without another place it stays: a bad place may become good again. */
function afterEvidence(
  session: SessionRow,
  place: Exclude<SessionPlace, { is: "waiting" }>,
  pass: PassContext,
): SessionRow {
  // One place that is left is enough; when that is over, this one is looked at again.
  const isBusy = pass.fate === "overlap" && session.leaving !== null;
  if (pass.fate === "stay" || isBusy || !pass.isSettled) return session;
  const taken = pass.take();
  if (typeof taken === "string" || taken.instance === place.instance) return session;
  leave(session, pass);
  const next = at(session, session.epoch + 1, placeOf(taken));
  return pass.fate === "overlap" && place.is === "attached"
    ? { ...next, leaving: leavingOf(place, session.epoch) }
    : next;
}

function at(session: SessionRow, epoch: number, place: SessionPlace): SessionRow {
  const { leaving } = session;
  // Back to where it still is: there it has one place, the new one.
  const isBack = place.is !== "waiting" && leaving?.instance === place.instance;
  return {
    ...session,
    epoch,
    place,
    leaving: leaving === null || isBack ? null : { ...leaving, untilMs: null },
  };
}

function leavingOf(
  { instance, pool, ipv4, ipv6 }: SessionPlace & { is: "attached" },
  epoch: number,
): Leaving {
  return { epoch, instance, pool, ipv4, ipv6, untilMs: null };
}

/** Before the group is back, the first to return would get all that the others ended. */
function nextPlace(pass: PassContext): SessionPlace {
  return pass.isSettled ? placeOf(pass.take()) : { is: "waiting", code: "placement.no-instance" };
}

function placeOf(taken: Place | FailureCode): SessionPlace {
  return typeof taken === "string" ? { is: "waiting", code: taken } : { is: "placed", ...taken };
}

function leave({ place }: SessionRow, pass: PassContext): void {
  if (place.is === "waiting") return;
  pass.leave(place.instance, place.is === "placed" ? place.pool : undefined);
}
