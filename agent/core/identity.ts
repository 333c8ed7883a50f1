import { z } from "zod";
import { Ec2InstanceId, Id, Key32, Name } from "../../protocol/names.ts";

/** What the controller called this instance. */
export const EnrolmentRecord = z.object({ instance: Id, name: Name, connector: Name });
export type EnrolmentRecord = z.infer<typeof EnrolmentRecord>;

/** The public side of the identity on disk: the private halves of the keys stay with the adapter that signs. */
export const IdentityRecord = z.object({
  identityKey: Key32,
  wireguardKey: Key32,
  /** The EC2 instance the keys were made on. On another one the file is a copy. */
  ec2InstanceId: Ec2InstanceId,
  enrolment: EnrolmentRecord.optional(),
  /** Set when this identity took the place of one that had been copied from there. */
  clonedFrom: Ec2InstanceId.optional(),
});
export type IdentityRecord = z.infer<typeof IdentityRecord>;

export type SavedIdentity =
  | { readonly is: "none" }
  | { readonly is: "saved"; readonly record: IdentityRecord }
  | { readonly is: "unreadable"; readonly detail: string };

export type IdentityDecision =
  /** The metadata service confirms it. */
  | "use"
  /** The metadata service does not answer: serve with what is saved, and decide again when it does. */
  | "useUnconfirmed"
  /** There is none yet, and it is known which instance to bind a new one to. */
  | "make"
  /** The disk is a copy: keep the old identity and what belongs to it aside, and start afresh. */
  | "replace"
  /** Nothing can be done before the metadata service answers. */
  | "wait"
  /** A person must repair or remove the file; a new identity would hide the damage. */
  | "repair";

/** `ec2InstanceId` is undefined while the metadata service does not tell. */
export function decideIdentity(saved: SavedIdentity, ec2InstanceId: string | undefined): IdentityDecision {
  switch (saved.is) {
    case "unreadable":
      return "repair";
    case "none":
      return ec2InstanceId === undefined ? "wait" : "make";
    case "saved":
      if (ec2InstanceId === undefined) return "useUnconfirmed";
      return saved.record.ec2InstanceId === ec2InstanceId ? "use" : "replace";
  }
}
