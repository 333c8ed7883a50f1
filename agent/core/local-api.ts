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

/** POST without a body: does it, and answers with the status after it. */
export interface AgentActions {
  /** Takes no new sessions, for the reason `cli`. Draining twice is draining once. */
  drain(): Promise<StatusView>;
  /** Ends the reason `cli`, and no other. */
  resume(): Promise<StatusView>;
  /** Reads the interface's prefixes now, and answers when the reading has been judged. */
  verify(): Promise<StatusView>;
}
export type Action = keyof AgentActions;
export const actions = ["drain", "resume", "verify"] as const satisfies readonly Action[];

/** Every answer with another status than 200 has this body. */
export interface ApiError {
  readonly code: string;
  readonly text: string;
  readonly hint: string;
}

export function pathOf(route: Read | Action): string {
  return `/v1/${route}`;
}
