import { Failure } from "../../protocol/failures.ts";
import {
  type Look,
  lifecycleState,
  type NoticesReading,
  type Reading,
  rebalanceNotice,
  spotNotice,
} from "../core/notice-shapes.ts";
import type { Imds } from "./imds.ts";

/** What AWS announces about this instance. Nothing here throws; a doubt is unknown, never "none". */
export class AwsNotices {
  readonly #imds: Pick<Imds, "get">;
  /** An instance is one or the other for its life. Undefined: not known, so everything is asked for. */
  #isOnDemand: boolean | undefined;

  constructor(imds: Pick<Imds, "get">) {
    this.#imds = imds;
  }

  async read(look: Look): Promise<NoticesReading> {
    const isAll = look === "all";
    if (isAll && this.#isOnDemand === undefined) await this.#learn();
    // Such an instance is nobody's to take back.
    const canBeTaken = this.#isOnDemand !== true;
    const [spot, rebalance, autoscaling] = await Promise.all([
      canBeTaken ? this.#read("spot/instance-action", spotNotice) : none,
      isAll && canBeTaken ? this.#read("events/recommendations/rebalance", rebalanceNotice) : undefined,
      isAll ? this.#read("autoscaling/target-lifecycle-state", lifecycleState) : undefined,
    ]);
    return { spot, rebalance, autoscaling };
  }

  async #learn(): Promise<void> {
    const answer = await this.#imds.get("meta-data/instance-life-cycle");
    if (answer.ok && answer.value !== undefined) this.#isOnDemand = answer.value.trim() === "on-demand";
  }

  async #read<T>(key: string, parse: (text: string) => T | undefined): Promise<Reading<T>> {
    const path = `meta-data/${key}`;
    const answer = await this.#imds.get(path);
    if (!answer.ok) return unknown(answer.failure);
    if (answer.value === undefined) return none;
    const value = parse(answer.value);
    if (value !== undefined) return { is: "known", value };
    return unknown(new Failure("imds.malformed", { path, answer: answer.value.slice(0, 64) }));
  }
}

const none = { is: "known", value: undefined } as const;

/** The reading for when it failed as a whole. */
export function noNotices(failure: Failure): NoticesReading {
  return { spot: unknown(failure), rebalance: unknown(failure), autoscaling: unknown(failure) };
}

function unknown({ code: why, facts }: Failure): Extract<Reading<never>, { is: "unknown" }> {
  return { is: "unknown", why, facts };
}
