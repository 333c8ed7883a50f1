import { Failure, type Result } from "../../protocol/failures.ts";
import {
  lifecycleState,
  type NoticesReading,
  type Reading,
  rebalanceNotice,
  spotNotice,
} from "../core/notice-shapes.ts";
import type { Imds } from "./imds.ts";

/** Reads what AWS announces about this instance. Nothing here throws; a doubt is unknown, never "none". */
export async function readNotices(imds: Pick<Imds, "get">): Promise<NoticesReading> {
  const [spot, rebalance, autoscaling] = await Promise.all([
    read(imds, "meta-data/spot/instance-action", spotNotice),
    read(imds, "meta-data/events/recommendations/rebalance", rebalanceNotice),
    read(imds, "meta-data/autoscaling/target-lifecycle-state", lifecycleState),
  ]);
  return { spot, rebalance, autoscaling };
}

/** The reading for when it failed as a whole. */
export function noNotices({ code: why, facts }: Failure): NoticesReading {
  const unknown = { is: "unknown", why, facts } as const;
  return { spot: unknown, rebalance: unknown, autoscaling: unknown };
}

async function read<T>(
  imds: Pick<Imds, "get">,
  path: string,
  parse: (text: string) => T | undefined,
): Promise<Reading<T>> {
  const answer: Result<string | undefined> = await imds.get(path);
  if (!answer.ok) return unknown(answer.failure);
  if (answer.value === undefined) return { is: "known", value: undefined };
  const value = parse(answer.value);
  if (value !== undefined) return { is: "known", value };
  return unknown(new Failure("imds.malformed", { path, answer: answer.value.slice(0, 64) }));
}

function unknown({ code: why, facts }: Failure): Extract<Reading<never>, { is: "unknown" }> {
  return { is: "unknown", why, facts };
}
