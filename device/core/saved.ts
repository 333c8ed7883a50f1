import { z } from "zod";
import { Code, EpochMs, Id, Name } from "../../protocol/names.ts";
import { deviceDesired } from "../../protocol/state.ts";

/** Whose device this is, as the controller said when it joined. */
const Membership = z.object({ device: Id, user: Name, group: Name });
export type Membership = z.infer<typeof Membership>;

const Standing = z.discriminatedUnion("is", [
  /** Never joined: nothing to prove but a code. */
  z.object({ is: z.literal("uninvited") }),
  /** The controller knows the key. `as` is missing where the controller's answer was lost. */
  z.object({ is: z.literal("member"), as: Membership.optional() }),
  /** The controller does not know the key, or no longer: only a code can help. */
  z.object({ is: z.literal("disowned") }),
]);
export type Standing = z.infer<typeof Standing>;

const [, attached] = deviceDesired.attachment.options;

const Hold = z.discriminatedUnion("is", [
  /** Not told yet, or logged out. */
  z.object({ is: z.literal("nothing") }),
  /** The controller says why there is no instance for this device now. A code it knows; perhaps newer than ours. */
  z.object({ is: z.literal("waiting"), code: Code, sinceMs: EpochMs }),
  z.object({ is: z.literal("attached"), to: attached, sinceMs: EpochMs }),
]);
/** Where this device's traffic goes, as the controller said last and the device took it. */
export type Hold = z.infer<typeof Hold>;

/** What a device keeps on disk beside its keys, so that it goes on after a restart with no controller in reach. */
export const SavedState = z.object({
  format: z.literal(1),
  standing: Standing,
  hold: Hold,
  /** The last refusal of the controller; none since it last welcomed the device. */
  refusal: z.object({ code: Code, atMs: EpochMs }).optional(),
});
export type SavedState = z.infer<typeof SavedState>;

export const nothingSaved: SavedState = {
  format: 1,
  standing: { is: "uninvited" },
  hold: { is: "nothing" },
};

/** After a damaged file: the key may be known to the controller, which then says the rest again. */
export const savedIsLost: SavedState = { ...nothingSaved, standing: { is: "member" } };
