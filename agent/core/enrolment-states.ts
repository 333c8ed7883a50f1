import type { Failure, FailureCode, FailureFacts } from "../../protocol/failures.ts";
import type { EnrolmentRecord, IdentityRecord, SavedIdentity } from "./identity.ts";
import type { InterfaceFacts } from "./ports.ts";

/** What the metadata service says about who this instance is. */
export type InstanceReading =
  | {
      readonly is: "known";
      readonly ec2InstanceId: string;
      /** Byte for byte, and AWS's signature of it. */
      readonly document: string;
      readonly documentSignature: string;
      /** IPv4 addresses on the host's interfaces; undefined where they are not compared. */
      readonly local: readonly string[] | undefined;
    }
  | { readonly is: "unknown"; readonly why: FailureCode; readonly facts: FailureFacts };

/** The one-time password's file. `mark` changes when its content does. */
export type OtpSeen =
  | { readonly is: "there"; readonly mark: string }
  | { readonly is: "none" }
  | { readonly is: "unreadable"; readonly error: string };

export type EnrolmentEffect =
  | { readonly do: "readInstance"; readonly effectId: number }
  /** Make both keys and have them on disk, bound to this instance. */
  | { readonly do: "makeIdentity"; readonly effectId: number; readonly ec2InstanceId: string }
  | { readonly do: "lookForOtp"; readonly effectId: number }
  | { readonly do: "saveEnrolment"; readonly effectId: number; readonly enrolment: EnrolmentRecord }
  | { readonly do: "removeOtp" }
  /** The disk is a copy: set aside what it holds and start over, bound to this instance. */
  | { readonly do: "startAfresh"; readonly ec2InstanceId: string };

/** How to answer the controller's challenge. */
export type ProofPlan =
  | { readonly as: "hello" }
  | {
      readonly as: "enrol";
      readonly reading: Extract<InstanceReading, { is: "known" }>;
      readonly facts: InterfaceFacts;
    };

/** The identity of this process: what the disk had, or what became of making one. */
export type Identity =
  | { readonly kind: "unreadable"; readonly detail: string }
  | { readonly kind: "none" }
  | { readonly kind: "making"; readonly effectId: number }
  | { readonly kind: "notMade"; readonly failure: Failure; readonly retryAtMs: number }
  | { readonly kind: "held"; readonly record: IdentityRecord }
  | { readonly kind: "replacing" };

/** Whether the enrolment that the controller gave is on disk. */
export type Saving =
  | { readonly kind: "saved" }
  | { readonly kind: "saving"; readonly effectId: number; readonly record: IdentityRecord }
  | { readonly kind: "failed"; readonly failure: Failure; readonly retryAtMs: number };

export function identityOf(saved: SavedIdentity): Identity {
  switch (saved.is) {
    case "none":
      return { kind: "none" };
    case "saved":
      return { kind: "held", record: saved.record };
    case "unreadable":
      return { kind: "unreadable", detail: saved.detail };
  }
}

export function savedOf(identity: Exclude<Identity, { kind: "making" | "replacing" }>): SavedIdentity {
  switch (identity.kind) {
    case "none":
    case "notMade":
      return { is: "none" };
    case "held":
      return { is: "saved", record: identity.record };
    case "unreadable":
      return { is: "unreadable", detail: identity.detail };
  }
}
