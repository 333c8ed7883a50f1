import type { CloseName } from "./close.ts";
import type { FailureCode } from "./failures.ts";
import type { Challenge, ClientMessage, ControllerMessage, Welcome } from "./messages.ts";
import type { Instant } from "./time.ts";

/** What the client's side of the link can be, hear and do. The machine itself is in link.ts. */
export type LinkState =
  | { readonly kind: "idle" }
  | {
      readonly kind: "dialling";
      readonly dialId: number;
      readonly attempt: number;
      readonly deadlineMs: number;
    }
  | {
      readonly kind: "proving";
      readonly dialId: number;
      readonly attempt: number;
      readonly deadlineMs: number;
    }
  | {
      readonly kind: "open";
      readonly dialId: number;
      readonly attempt: number;
      readonly since: Instant;
      readonly heartbeatMs: number;
      readonly silentMs: number;
      readonly heardAtMs: number;
      readonly pingAtMs: number;
    }
  | {
      readonly kind: "waiting";
      readonly attempt: number;
      readonly retryAtMs: number;
      /** When it would be tried if nobody else were on the way back. */
      readonly urgentAtMs: number;
      readonly why: FailureCode;
    }
  /**
   * Dialling again would change nothing. `retry` (something changed here) leaves this state; what may be cured on the
   * controller's side (retry class `onChange`) is tried again at `retryAtMs` besides.
   */
  | { readonly kind: "stopped"; readonly why: FailureCode; readonly retryAtMs: number | undefined };

export type LinkInput =
  | { readonly kind: "start" }
  /** Something that was refused has changed (a new OTP, another controller): try now. */
  | { readonly kind: "retry" }
  /** Say goodbye and stay down. */
  | { readonly kind: "stop"; readonly goodbye?: string }
  | { readonly kind: "received"; readonly dialId: number; readonly message: ControllerMessage }
  /** A frame that could not be read. */
  | { readonly kind: "unreadable"; readonly dialId: number; readonly why: FailureCode }
  | {
      readonly kind: "closed";
      readonly dialId: number;
      /** The WebSocket's close code, or the failure when it never opened. */
      readonly why: number | FailureCode;
      readonly retryAfterMs?: number;
    }
  | { readonly kind: "send"; readonly message: ClientMessage }
  /** Something depends on the link: it does not wait for a moment of its own among the others who come back. */
  | { readonly kind: "urgent"; readonly isOn: boolean }
  /** The owner found the other side in breach of the protocol. */
  | { readonly kind: "breach"; readonly close: CloseName; readonly why: FailureCode }
  | { readonly kind: "tick" };

export type LinkEffect =
  | { readonly do: "dial"; readonly dialId: number }
  /** Answer this challenge with a signed `hello`, `enrol` or `join` on this connection. */
  | { readonly do: "prove"; readonly dialId: number; readonly challenge: Challenge }
  | { readonly do: "send"; readonly dialId: number; readonly message: ClientMessage }
  | { readonly do: "hangUp"; readonly dialId: number; readonly close: CloseName }
  | { readonly do: "up"; readonly welcome: Welcome }
  | { readonly do: "down"; readonly why: FailureCode }
  | { readonly do: "refused"; readonly why: FailureCode; readonly text: string }
  | { readonly do: "deliver"; readonly message: ControllerMessage };

export interface LinkSettings {
  readonly dialWithinMs: number;
  /** First and longest wait between dials; each is spread by jitter over half to the whole of its length. */
  readonly backoffMinMs: number;
  readonly backoffMaxMs: number;
  /** How often a refusal of class `onChange` is tried again although nothing changed here. */
  readonly recheckAfterMs: number;
  /** A link that was up so long counts as stable: the next wait is the first again. */
  readonly stableAfterMs: number;
  /** A uniform number in [0, 1): handed in, so that a core draws no randomness of its own. */
  readonly random: () => number;
}
