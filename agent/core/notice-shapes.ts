import { z } from "zod";
import type { FailureCode, FailureFacts } from "../../protocol/failures.ts";

/** What AWS announces about an instance, as the metadata service says it. Anything else than these shapes is no news. */

/** https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html */
export interface SpotNotice {
  readonly action: "terminate" | "stop" | "hibernate";
  /** When AWS will do it, on the wall clock. */
  readonly atMs: number;
}

/** https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/rebalance-recommendations.html */
export interface RebalanceNotice {
  readonly noticedMs: number;
}

/** https://docs.aws.amazon.com/autoscaling/ec2/userguide/retrieving-target-lifecycle-state-through-imds.html */
const lifecycleStates = [
  "Detached",
  "InService",
  "Standby",
  "Terminated",
  "Warmed:Hibernated",
  "Warmed:Running",
  "Warmed:Stopped",
  "Warmed:Terminated",
] as const;
export type LifecycleState = (typeof lifecycleStates)[number];

export type Reading<T> =
  /** Undefined: the service has no such key, so there is no such notice. */
  | { readonly is: "known"; readonly value: T | undefined }
  /** It did not tell. Never the same as "none". */
  | { readonly is: "unknown"; readonly why: FailureCode; readonly facts: FailureFacts };

/** Only the one that leaves two minutes is asked for each time: to ask costs more than all else that an idle agent does. */
export type Look = "spot" | "all";

/** One look; each may be known or not by itself, and undefined where it was not asked for. */
export interface NoticesReading {
  readonly spot: Reading<SpotNotice>;
  readonly rebalance: Reading<RebalanceNotice> | undefined;
  readonly autoscaling: Reading<LifecycleState> | undefined;
}

const Time = z.iso.datetime({ offset: true }).transform((text) => Date.parse(text));
const Spot = z.object({ action: z.enum(["terminate", "stop", "hibernate"]), time: Time });
const Rebalance = z.object({ noticeTime: Time });

/** Undefined where the text is none of AWS's. */
export function spotNotice(text: string): SpotNotice | undefined {
  const { data } = Spot.safeParse(json(text));
  return data && { action: data.action, atMs: data.time };
}

export function rebalanceNotice(text: string): RebalanceNotice | undefined {
  const { data } = Rebalance.safeParse(json(text));
  return data && { noticedMs: data.noticeTime };
}

export function lifecycleState(text: string): LifecycleState | undefined {
  return lifecycleStates.find((state) => state === text.trim());
}

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
