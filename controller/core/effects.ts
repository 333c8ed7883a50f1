import type { CloseName } from "../../protocol/close.ts";
import type { FailureCode, FailureFacts, Result } from "../../protocol/failures.ts";
import type { ClientMessage, ControllerMessage, Enrol, Role } from "../../protocol/messages.ts";
import type { AdminCommand, CommandName, CommandResults } from "./admin.ts";
import type { DocumentVerdict } from "./ports.ts";
import type { Plan, TokenRow } from "./rows.ts";

/** A connection, numbered by the link server; a number is never used twice. */
export type LinkId = number;

export type ControllerInput =
  | { readonly kind: "connected"; readonly link: LinkId; readonly address: string }
  | { readonly kind: "received"; readonly link: LinkId; readonly message: ClientMessage }
  /** A frame that could not be read. */
  | { readonly kind: "unreadable"; readonly link: LinkId; readonly why: FailureCode }
  /** A frame of a type that this version does not know. */
  | { readonly kind: "unknown"; readonly link: LinkId }
  | { readonly kind: "disconnected"; readonly link: LinkId }
  | {
      readonly kind: "verified";
      readonly effectId: number;
      readonly proven: boolean;
      readonly document: DocumentVerdict | undefined;
    }
  | {
      readonly kind: "command";
      readonly commandId: number;
      readonly command: AdminCommand;
      readonly actor: string;
    }
  | { readonly kind: "stored"; readonly effectId: number }
  | {
      readonly kind: "storeFailed";
      readonly effectId: number;
      readonly why: FailureCode;
      readonly facts: FailureFacts;
    }
  /** The tokens on disk, read when the model's token revision was `revision`. */
  | { readonly kind: "tokens"; readonly revision: number; readonly rows: readonly TokenRow[] }
  /** The process ends: say so on every link. */
  | { readonly kind: "stop" }
  | { readonly kind: "tick" };

export type ControllerEffect =
  | { readonly do: "send"; readonly link: LinkId; readonly message: ControllerMessage }
  | { readonly do: "close"; readonly link: LinkId; readonly close: CloseName }
  /** The peer proved itself: from now on it may send and be owed what its role needs. */
  | { readonly do: "trust"; readonly link: LinkId; readonly role: Role }
  /** Check the signature, and the identity document where there is one. */
  | {
      readonly do: "verify";
      readonly effectId: number;
      readonly text: string;
      readonly identityKey: string;
      readonly signature: string;
      readonly document: Pick<Enrol, "document" | "documentSignature"> | undefined;
    }
  | { readonly do: "store"; readonly effectId: number; readonly plan: Plan }
  | {
      readonly do: "answer";
      readonly commandId: number;
      readonly result: Result<CommandResults[CommandName]>;
    }
  /** For the log: constant text, values as facts. */
  | {
      readonly do: "tell";
      readonly level: "info" | "warn";
      readonly text: string;
      readonly facts: FailureFacts;
    };
