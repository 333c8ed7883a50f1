import type { LeaseView, PoolView, PrefixRow, SessionView, StatusView } from "../../protocol/view.ts";

/** What the agent's socket offers: HTTP with JSON on a Unix socket. One table for its two sides, agent and CLI. */

export const defaultSocket = "/run/connector/agent.sock";

/** The `Server` header of every answer: whoever does not send it is not the agent. */
export const serverName = "connector-agent";

/** GET: what is, derived at the moment of asking. */
export interface Reads {
  readonly status: StatusView;
  readonly pools: readonly PoolView[];
  readonly leases: readonly LeaseView[];
  readonly sessions: readonly SessionView[];
  readonly prefixes: readonly PrefixRow[];
}
export type Read = keyof Reads;
export const reads = ["status", "pools", "leases", "sessions", "prefixes"] as const satisfies readonly Read[];

/** How long a drain may take; 30 days at most. */
export interface DrainOptions {
  readonly forMs?: number | undefined;
}
export const drainSecondsMax = 30 * 86_400;

/** POST without a body: does it, and answers with the status after it. */
export interface AgentActions {
  /**
   * Takes no new sessions, for the reason `cli`, until `resume`. Draining twice is draining once, with the new deadline.
   * The deadline is for those who wait and look: nothing ends by itself.
   */
  drain(options?: DrainOptions): Promise<StatusView>;
  /** Ends the reason `cli`, and no other. */
  resume(): Promise<StatusView>;
  /** Leaves the group: drains for the reason `shutdown`, and says goodbye when nobody is left, or when the time is up. */
  leave(options?: DrainOptions): Promise<StatusView>;
  /** Reads the interface's prefixes now, and answers when the reading has been judged. */
  verify(): Promise<StatusView>;
}
export type Action = keyof AgentActions;
export const actions = ["drain", "resume", "leave", "verify"] as const satisfies readonly Action[];

/** How long leaving takes at most, where nobody says. */
export const leaveWithinMs = 60_000;

/** Every answer with another status than 200 has this body. */
export interface ApiError {
  readonly code: string;
  readonly text: string;
  readonly hint: string;
}

export function pathOf(route: Read | Action): string {
  return `/v1/${route}`;
}

/** The query of `drain` and `leave`: `?deadline=SECONDS`. */
export function drainQuery({ forMs }: DrainOptions): string {
  return forMs === undefined ? "" : `?deadline=${Math.ceil(forMs / 1000)}`;
}

/** Undefined where the query says something else. */
export function readDrainQuery(query: string): DrainOptions | undefined {
  if (query === "") return {};
  const seconds = Number(/^deadline=(\d{1,7})$/.exec(query)?.[1] ?? 0);
  return seconds >= 1 && seconds <= drainSecondsMax ? { forMs: seconds * 1000 } : undefined;
}
