import type { FailureCode } from "./failures.ts";

/**
 * Close codes of the WebSocket (RFC 6455 leaves 4000–4999 to applications), and what each means to the side that is
 * closed on. The retry class is that of the failure code.
 */
export const closeCodes = {
  /** Goodbye was said. */
  done: { code: 1000, failure: "link.lost" },
  /** The process ends; come back. */
  restarting: { code: 1001, failure: "link.restarting" },
  tooLarge: { code: 1009, failure: "protocol.too-large" },
  /** A `refused` message with the exact code went before. */
  refused: { code: 4000, failure: "link.lost" },
  /** A frame broke the protocol. */
  malformed: { code: 4001, failure: "protocol.malformed" },
  version: { code: 4002, failure: "protocol.version" },
  superseded: { code: 4003, failure: "link.superseded" },
  silent: { code: 4004, failure: "link.silent" },
  overloaded: { code: 4005, failure: "link.overloaded" },
  removed: { code: 4006, failure: "link.removed" },
  proofLate: { code: 4007, failure: "link.silent" },
} as const satisfies Record<string, { code: number; failure: FailureCode }>;

export type CloseName = keyof typeof closeCodes;

/** The failure a close code stands for; any other code is a lost connection. */
export function failureOfClose(code: number): FailureCode {
  return Object.values(closeCodes).find((close) => close.code === code)?.failure ?? "link.lost";
}
