import { type Result, success } from "../../protocol/failures.ts";
import type { Logger } from "../../protocol/node/log.ts";
import type { Clock } from "../../protocol/time.ts";
import type { DataPath, DataPathPlan, DataPathState, SessionTraffic } from "../core/ports.ts";

/**
 * A data path that forwards nothing, for where there is no network to change (`CONNECTOR_DATAPATH=record`): it reads its
 * plan back as applied, and says that every device was heard just now. It stands behind the same port as the kernel's.
 */
export class DataPathRecorder implements DataPath, Disposable {
  readonly #clock: Clock;
  #plan: DataPathPlan | undefined;

  constructor(clock: Clock, log: Logger) {
    this.#clock = clock;
    log.warn("no packet is forwarded, and every device counts as just heard (CONNECTOR_DATAPATH=record)");
  }

  get plan(): DataPathPlan | undefined {
    return this.#plan;
  }

  async apply(plan: DataPathPlan): Promise<Result<DataPathState>> {
    this.#plan = plan;
    return this.compare();
  }

  async compare(): Promise<Result<DataPathState>> {
    const { routes = [], peers = [] } = this.#plan ?? {};
    return success({
      routes,
      peers: peers.length,
      drift: [],
      resolver: undefined,
      silent: [],
      lingering: undefined,
    });
  }

  [Symbol.dispose](): void {}

  async traffic(): Promise<Result<ReadonlyMap<string, SessionTraffic>>> {
    const { monotonicMs, wallMs } = this.#clock();
    const heard = {
      rxBytes: 0,
      txBytes: 0,
      heardAtMs: monotonicMs,
      handshakeAtMs: wallMs,
      endpoint: undefined,
    };
    return success(new Map((this.#plan?.peers ?? []).map(({ session }) => [session, heard])));
  }
}
