/** What the admin API lets one client do. */
export interface ApiLimits {
  /** Bytes of a request's body. A connector with a thousand enterprise resources fits. */
  readonly bodyBytesMax: number;
  /** Requests of one address (IPv6: one /64) in a minute. */
  readonly requestsPerMinute: number;
  /** Requests of one address with a wrong token, or with none, in a minute. */
  readonly failedPerMinute: number;
  /** From the first byte of a request to its last, and again from there to the answer, ms. */
  readonly requestMs: number;
}

export const apiLimits: ApiLimits = {
  bodyBytesMax: 256 * 1024,
  requestsPerMinute: 6_000,
  failedPerMinute: 30,
  requestMs: 30_000,
};

/**
 * Connections that the kernel keeps until they are taken: as many as there may be strangers (`strangersMax`). A controller
 * that restarts is dialled by its whole group within seconds, and who finds no room tries again after 1, 3 and 7 s (RFC
 * 6298). Many more would be taken in one turn of the event loop, with heartbeats waiting, and those at the end of the queue
 * would have given up by then.
 */
export const connectionsWaitingMax = 1_024;
