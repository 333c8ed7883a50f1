import { failed, type Result, success } from "../../protocol/failures.ts";

/** How the controller behaves in time and number. The defaults fit production; tests and the lab run faster. */
export interface CoreSettings {
  /** How often agents and devices ping, ms. Fewer for devices: there are many more of them. */
  readonly heartbeatMs: { readonly agent: number; readonly device: number };
  /** A link that was silent for so many heartbeats is cut. */
  readonly silentHeartbeats: number;
  /**
   * After the start nobody is placed until every instance is back, or this long: the first to return would
   * otherwise get all the load. Sessions that exist are not touched.
   */
  readonly settleMs: number;
  /** How long an instance whose link is lost has to come back before its sessions are moved, ms. */
  readonly linkGraceMs: number;
  /** The same when the controller itself was away: clients come back as slowly as their backoff has become. */
  readonly returnGraceMs: number;
  /** So many devices must say that their path is dead, and half of those who say something, to condemn an instance. */
  readonly witnessesMin: number;
  /** How long a device says dead under an instance that is well before it alone is moved, ms. */
  readonly pathGraceMs: number;
  /** How long an instance that its devices condemned gets no sessions; doubled each time, ms. */
  readonly holdDownMs: number;
  /** How long a place that is left serves on when the new one is granted and its device does not come over, ms. */
  readonly drainDeadlineMs: number;
  /** How long a rolling restart waits until all sessions of an instance have a place elsewhere; `drainDeadlineMs` comes on top. */
  readonly restartDrainMs: number;
  /** How long a rolling restart waits for an instance that was restarted, or for another that it cannot do without, ms. */
  readonly restartReturnMs: number;
  /** How long a device waits at most before it is tried again although nothing seemed to change, ms. */
  readonly retryWaitingMs: number;
  /** After a failed commit of sessions, ms. Commands are answered with the failure instead. */
  readonly retryStoreMs: number;
  /** What a peer that is turned away for load is asked to wait, ms. */
  readonly retryAfterMs: number;
  /** Connections that have not proven who they are, at most. */
  readonly strangersMax: number;
  /** Decisions that wait for the store, at most; more are refused. */
  readonly jobsMax: number;
}

export const coreDefaults: CoreSettings = {
  heartbeatMs: { agent: 5_000, device: 20_000 },
  silentHeartbeats: 3,
  settleMs: 3_000,
  linkGraceMs: 3_000,
  returnGraceMs: 35_000,
  witnessesMin: 2,
  pathGraceMs: 1_000,
  holdDownMs: 30_000,
  drainDeadlineMs: 30_000,
  restartDrainMs: 60_000,
  restartReturnMs: 120_000,
  retryWaitingMs: 5_000,
  retryStoreMs: 1_000,
  retryAfterMs: 5_000,
  strangersMax: 1_024,
  jobsMax: 10_000,
};

/** The heartbeat an operator may ask for: shorter floods the controller, longer hides a dead peer for minutes. */
export const heartbeatBoundsMs = { min: 100, max: 60_000 } as const;

/**
 * What an operator may choose. A shorter grace moves everybody for each restart of an agent; a longer one leaves them
 * without service for as long.
 */
export const failoverBounds = {
  linkGraceMs: { min: 500, max: 60_000 },
  returnGraceMs: { min: 500, max: 600_000 },
  witnessesMin: { min: 2, max: 16 },
  pathGraceMs: { min: 200, max: 60_000 },
  holdDownMs: { min: 1_000, max: 600_000 },
  drainDeadlineMs: { min: 1_000, max: 3_600_000 },
  restartDrainMs: { min: 1_000, max: 3_600_000 },
  restartReturnMs: { min: 1_000, max: 3_600_000 },
} as const satisfies Partial<Record<keyof CoreSettings, { min: number; max: number }>>;

type Times = Pick<
  CoreSettings,
  "heartbeatMs" | "silentHeartbeats" | "linkGraceMs" | "returnGraceMs" | "pathGraceMs" | "holdDownMs"
>;

/** What is within its bounds and makes no sense beside the rest. */
export function contradictions(times: Times): readonly { field: string; problem: string; fix: string }[] {
  const { linkGraceMs, returnGraceMs, pathGraceMs, holdDownMs } = times;
  const silenceMs = times.heartbeatMs.agent * times.silentHeartbeats;
  const found = [];
  if (returnGraceMs < linkGraceMs) {
    found.push({
      field: "returnGraceMs",
      problem: `is less than linkGraceMs, ${linkGraceMs}: clients come back more slowly when it was the controller that was away`,
      fix: `Give ${linkGraceMs} or more.`,
    });
  }
  if (returnGraceMs < silenceMs) {
    found.push({
      field: "returnGraceMs",
      problem: `is less than ${silenceMs}, in which an agent notices that the controller was away`,
      fix: `Give ${silenceMs} or more, or a shorter agentHeartbeatMs.`,
    });
  }
  if (holdDownMs < pathGraceMs) {
    found.push({
      field: "holdDownMs",
      problem: `is less than pathGraceMs, ${pathGraceMs}: a condemned instance would get sessions again before one device alone could leave it`,
      fix: `Give ${pathGraceMs} or more.`,
    });
  }
  return found;
}

/** The defaults with what was chosen otherwise. Fails with `admin.invalid` naming the field. */
export function settingsFrom(chosen: Partial<CoreSettings>): Result<CoreSettings> {
  const settings = { ...coreDefaults, ...chosen };
  const { min, max } = heartbeatBoundsMs;
  for (const role of ["agent", "device"] as const) {
    const ms = settings.heartbeatMs[role];
    if (!Number.isInteger(ms) || ms < min || ms > max) {
      return failed("admin.invalid", {
        field: `heartbeatMs.${role}`,
        problem: `${ms} is not ${min} to ${max}`,
      });
    }
  }
  for (const [field, bounds] of Object.entries(failoverBounds)) {
    const value = settings[field as keyof typeof failoverBounds];
    if (Number.isInteger(value) && value >= bounds.min && value <= bounds.max) continue;
    return failed("admin.invalid", { field, problem: `${value} is not ${bounds.min} to ${bounds.max}` });
  }
  const { silentHeartbeats } = settings;
  if (!Number.isInteger(silentHeartbeats) || silentHeartbeats < 2 || silentHeartbeats > 10) {
    return failed("admin.invalid", {
      field: "silentHeartbeats",
      problem: `${silentHeartbeats} is not 2 to 10: one late ping is no silence`,
    });
  }
  const [first] = contradictions(settings);
  if (first !== undefined) return failed("admin.invalid", { field: first.field, problem: first.problem });
  return success(settings);
}

/** How often links are looked at: fine enough for the shortest silence, coarse enough that twenty thousand links cost nothing. */
export function sweepMsOf({ heartbeatMs }: CoreSettings): number {
  return Math.min(1000, Math.max(20, Math.min(heartbeatMs.agent, heartbeatMs.device) / 2));
}

/** What it takes to let a device in again, from the handshake to the end of its snapshot, with TLS: about so long. */
const returnMsPerDevice = 2;
/** Less than the longest backoff, and than what a place that is left serves on: nobody is late because of this. */
const returnMsMax = 20_000;

/**
 * Within how long devices come back when all links are lost at once, each at a moment of its own: no faster than they are
 * let in, so that the instances, which do not wait, find nobody before them. Who has no session is not there to come.
 */
export function returnWithinMs(sessions: number): number {
  return Math.min(returnMsMax, sessions * returnMsPerDevice);
}
