import type { CloseName } from "../../protocol/close.ts";
import type { FailureCode } from "../../protocol/failures.ts";
import type { LinkInput } from "../../protocol/link.ts";
import type { Challenge, ClientMessage } from "../../protocol/messages.ts";
import type { Secret } from "../../protocol/secret.ts";
import type { Proof } from "./admission.ts";
import type { Attached, Wants } from "./attachment.ts";
import type { Verdict } from "./probe.ts";
import type { Hold, Membership, SavedState } from "./saved.ts";

/** What the device's core is told. */
export type DeviceInput =
  | { readonly kind: "start" }
  /** Ends the process, not the session: nothing is said, so that the controller keeps the place. */
  | { readonly kind: "stop" }
  /** From the connection. */
  | { readonly kind: "link"; readonly input: LinkInput }
  /** The join code as the file holds it now; undefined when there is none. */
  | { readonly kind: "code"; readonly code: Secret | undefined }
  | { readonly kind: "wants"; readonly wants: Wants }
  /** Someone asks to try again now. */
  | { readonly kind: "retry" }
  | { readonly kind: "saved"; readonly effectId: number }
  /** The tunnel's traffic goes this way from now on, or it carries none. */
  | { readonly kind: "carries"; readonly path: Attached | undefined }
  /** The probe's word on the path that carries the traffic. */
  | { readonly kind: "verdict"; readonly path: Attached; readonly verdict: Verdict }
  | { readonly kind: "saveFailed"; readonly effectId: number; readonly why: FailureCode }
  | { readonly kind: "tick" };

/** What is to be done, in this order. */
export type DeviceEffect =
  | { readonly do: "dial"; readonly dialId: number }
  | { readonly do: "prove"; readonly dialId: number; readonly challenge: Challenge; readonly with: Proof }
  | { readonly do: "send"; readonly dialId: number; readonly message: ClientMessage }
  | { readonly do: "hangUp"; readonly dialId: number; readonly close: CloseName }
  /** Answer with `saved` or `saveFailed`. */
  | { readonly do: "save"; readonly effectId: number; readonly state: SavedState }
  /** The tunnel is to lead to this instance, or to none. */
  | { readonly do: "lead"; readonly to: Attached | undefined }
  /** The code has done its work. */
  | { readonly do: "removeCode" }
  | { readonly do: "tell"; readonly event: DeviceEvent };

/** What a person who reads the log should hear. */
export type DeviceEvent =
  | { readonly is: "linked" }
  | { readonly is: "waiting"; readonly why: FailureCode; readonly retryInMs: number }
  /** Stays up and tries again when what was refused has changed. */
  | { readonly is: "stopped"; readonly why: FailureCode }
  | { readonly is: "joined"; readonly as: Membership }
  | { readonly is: "hold"; readonly hold: Hold; readonly before: Hold }
  | { readonly is: "older"; readonly said: Attached; readonly heldEpoch: number }
  | { readonly is: "unsaved"; readonly why: FailureCode };
