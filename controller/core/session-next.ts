import type { FailureCode } from "../../protocol/failures.ts";
import type { SessionOutcome } from "../../protocol/state.ts";
import type { DeviceFacts } from "./fleet.ts";
import type { Place } from "./placement.ts";
import type { SessionPlace, SessionRow } from "./rows.ts";

/** What deciding one session needs from its pass. */
export interface PassContext {
  readonly device: string;
  readonly isSettled: boolean;
  readonly newId: () => string;
  readonly take: () => Place | FailureCode;
  readonly leave: (instance: string, inFlightPool: string | undefined) => void;
}

/**
 * A device that claims a higher epoch than this is lying: at a thousand moves a second it would take decades to get
 * there. Above it there is room for every move that is still to come.
 */
const claimedEpochMax = 2 ** 40;

/**
 * What a device's session is next: undefined for none, the same object for no change. The whole life of a session is
 * in this file. A session is sticky: as long as its instance has not refused or ended it, it stays where it is,
 * whatever happens to the links.
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
    return { id: pass.newId(), device: pass.device, epoch: 1, place: placeOf(pass.take()) };
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
  // Nobody waits on behalf of a device that is away; it asks again when it is back.
  if (device?.link === undefined) return undefined;
  const next = placeOf(pass.take());
  return next.is === "waiting" && next.code === place.code ? session : { ...session, place: next };
}

function afterPlaced(
  session: SessionRow,
  place: Exclude<SessionPlace, { is: "waiting" }>,
  outcome: SessionOutcome | undefined,
  device: DeviceFacts | undefined,
  pass: PassContext,
): SessionRow | undefined {
  const held = device?.held;
  if (held?.session === session.id && held.epoch > session.epoch && held.epoch < claimedEpochMax) {
    // The device was told of an epoch that this database has forgotten: only a higher one will be believed.
    const { instance, pool } = place;
    return { ...session, epoch: held.epoch + 1, place: { is: "placed", instance, pool } };
  }
  if (outcome === undefined || outcome.epoch !== session.epoch) return session;
  switch (outcome.outcome) {
    case "granted": {
      const { ipv4, ipv6 } = outcome;
      if (place.is === "attached" && place.ipv4 === ipv4 && place.ipv6 === ipv6) return session;
      const { instance, pool } = place;
      return { ...session, place: { is: "attached", instance, pool, ipv4, ipv6 } };
    }
    case "refused":
    case "ended":
      leave(session, pass);
      if (outcome.code === "lease.expired" && device?.link === undefined) return undefined;
      return { ...session, epoch: session.epoch + 1, place: nextPlace(pass) };
  }
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
