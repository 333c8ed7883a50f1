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

/** The EC2 instance that this host is, by what tells it besides the metadata service. */
export interface HostIdentity {
  /** Firmware says so, as on Nitro; undefined where it names none. */
  readonly firmware: string | undefined;
  /** The metadata service has said so since this boot began; undefined while it has not. */
  readonly sinceBoot: string | undefined;
}

export type IdentityDecision =
  /** It is this instance's. */
  | "use"
  /** There is none yet, and it is known which instance to bind a new one to. */
  | "make"
  /** The disk is a copy: keep the old identity and what belongs to it aside, and start afresh. */
  | "replace"
  /** Nothing can be done before the metadata service answers. */
  | "wait"
  /** A person must repair or remove the file; a new identity would hide the damage. */
  | "repair";

/**
 * `ec2InstanceId` is undefined while the metadata service does not tell. Then the disk may be a copy, started on another
 * instance, unless something else says that it is not: no disk changes its host while it is up.
 */
export function decideIdentity(
  saved: SavedIdentity,
  ec2InstanceId: string | undefined,
  { firmware, sinceBoot }: HostIdentity,
): IdentityDecision {
  switch (saved.is) {
    case "unreadable":
      return "repair";
    case "none":
      return ec2InstanceId === undefined ? "wait" : "make";
    case "saved": {
      const { ec2InstanceId: boundTo } = saved.record;
      if (ec2InstanceId !== undefined) return boundTo === ec2InstanceId ? "use" : "replace";
      return boundTo === firmware || boundTo === sinceBoot ? "use" : "wait";
    }
  }
}
