import type { Family } from "../../../protocol/address.ts";
import { failed, type Result, success } from "../../../protocol/failures.ts";
import type { Ec2Interface, Slots } from "../../adapters/ec2.ts";

/** So many more prefixes. */
export type Wanted = Readonly<Record<Family, number>>;

export interface Plan {
  readonly interfaceId: string;
  readonly wanted: Wanted;
  readonly now: Ec2Interface;
  /** Undefined where AWS does not let the instance ask; then EC2 alone decides whether there is room. */
  readonly slots: Slots | undefined;
}

/** Fails with `ec2.interface-full` before anything is changed. */
export function planned(plan: Plan): Result<Plan> {
  for (const family of families) {
    const free = freeSlots(plan, family);
    if (free !== undefined && plan.wanted[family] > free) {
      const { interfaceId, wanted } = plan;
      return failed("ec2.interface-full", {
        interface: interfaceId,
        family: `IPv${family}`,
        wanted: wanted[family],
        free: Math.max(0, free),
      });
    }
  }
  return success(plan);
}

export const families: readonly Family[] = [4, 6];

/** Prefixes that still fit. */
export function freeSlots({ now, slots }: Plan, family: Family): number | undefined {
  return slots && slots[family] - now.addresses[family] - now.prefixes[family].length;
}
