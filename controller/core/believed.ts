import type { SessionOutcome } from "../../protocol/state.ts";
import { Grants } from "./grants.ts";
import type { Model } from "./model.ts";
import type { Refusals } from "./refusals.ts";
import type { SessionRow } from "./rows.ts";

export interface ForeignGrant {
  readonly instance: string;
  readonly session: string;
  readonly addresses: string;
}

export interface Believed {
  readonly outcomes: ReadonlyMap<string, SessionOutcome>;
  /** What instances granted and may not. */
  readonly foreign: readonly ForeignGrant[];
}

/**
 * What of the outcomes counts: those of the epoch that is asked for, and a wrong grant as a refusal. Of a higher epoch
 * the number alone does: the session was there before in what this database has forgotten.
 */
export function believe(
  { devices, outcomes }: { devices: ReadonlySet<string>; outcomes: ReadonlyMap<string, SessionOutcome> },
  model: Model,
  refusals: Refusals,
  nowMs: number,
): Believed {
  const believed = new Map<string, SessionOutcome>();
  const foreign: ForeignGrant[] = [];
  if (outcomes.size === 0) return { outcomes: believed, foreign };
  const grants = new Grants(model);
  for (const device of devices) {
    const session = model.sessionByDevice.get(device);
    let outcome = session && outcomes.get(session.id);
    if (session === undefined || outcome === undefined || outcome.epoch < session.epoch) continue;
    if (outcome.epoch > session.epoch) {
      believed.set(session.id, outcome);
      continue;
    }
    if (outcome.outcome === "granted" && !grants.accept(session, outcome)) {
      foreign.push(foreignGrant(session, outcome));
      outcome = { outcome: "refused", epoch: outcome.epoch, code: "lease.foreign" };
    }
    believed.set(session.id, outcome);
    refusals.remember(session, outcome, nowMs);
  }
  return { outcomes: believed, foreign };
}

function foreignGrant(
  { id, place }: SessionRow,
  { ipv4, ipv6 }: SessionOutcome & { outcome: "granted" },
): ForeignGrant {
  const instance = place.is === "waiting" ? "" : place.instance;
  return { instance, session: id, addresses: [ipv4, ipv6].filter(Boolean).join(", ") };
}
