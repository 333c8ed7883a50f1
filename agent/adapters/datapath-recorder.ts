import { type Result, success } from "../../protocol/failures.ts";
import type { Logger } from "../../protocol/node/log.ts";
import type { Clock } from "../../protocol/time.ts";
import type { DataPath, DataPathPlan, DataPathState } from "../core/ports.ts";

/**
 * A data path that forwards nothing: it records the plan it was given, reads it back as applied, and says that every
 * device it was told of was heard just now. It stands behind the same port as the kernel's.
 */
export class DataPathRecorder implements DataPath {
  readonly #clock: Clock;
  #plan: DataPathPlan | undefined;

  constructor(clock: Clock, log: Logger) {
    this.#clock = clock;
    log.warn(
      "no packet is forwarded: this version records what the data path should be, and reports every device as just heard",
    );
  }

  get plan(): DataPathPlan | undefined {
    return this.#plan;
  }

  async apply(plan: DataPathPlan): Promise<Result<DataPathState>> {
    this.#plan = plan;
    return success({ routes: plan.routes, peers: plan.peers.length, inSync: true });
  }

  async activity(): Promise<ReadonlyMap<string, number>> {
    const { monotonicMs } = this.#clock();
    const heard = new Map<string, number>();
    for (const { session } of this.#plan?.peers ?? []) heard.set(session, monotonicMs);
    return heard;
  }
}
