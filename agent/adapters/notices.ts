import { Failure, type Result } from "../../protocol/failures.ts";
import {
  type Look,
  lifecycleState,
  type NoticesReading,
  type Reading,
  rebalanceNotice,
  spotNotice,
} from "../core/notice-shapes.ts";
import type { Imds } from "./imds.ts";

/** Reads what AWS announces about this instance. Nothing here throws; a doubt is unknown, never "none". */
export async function readNotices(imds: Pick<Imds, "get">, look: Look): Promise<NoticesReading> {
  const isAll = look === "all";
  const [spot, rebalance, autoscaling] = await Promise.all([
    read(imds, "meta-data/spot/instance-action", spotNotice),
    isAll ? read(imds, "meta-data/events/recommendations/rebalance", rebalanceNotice) : undefined,
    isAll ? read(imds, "meta-data/autoscaling/target-lifecycle-state", lifecycleState) : undefined,
  ]);
  return { spot, rebalance, autoscaling };
}

/** The reading for when it failed as a whole. */
export function noNotices(failure: Failure): NoticesReading {
  return { spot: unknown(failure), rebalance: unknown(failure), autoscaling: unknown(failure) };
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
