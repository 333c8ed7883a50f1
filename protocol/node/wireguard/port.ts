import { failed, type Result } from "../../failures.ts";
import type { WireguardChange, WireguardReading } from "../../wireguard.ts";

export type WireguardBackend = "kernel" | "userspace";

/** Changes and reads one interface that is there. */
export interface WireguardControl {
  /** All of it or, when it fails, an unknown part of it: read afterwards. Never touches a peer that is not named. */
  apply(change: WireguardChange): Promise<Result<void>>;
  read(): Promise<Result<WireguardReading>>;
}

/**
 * One WireGuard interface of this host. It outlives this process: letting go of it (disposing) leaves it carrying
 * traffic, and the next process adopts it. Failures are `datapath.failing`.
 */
export interface WireguardInterface extends WireguardControl, Disposable {
  readonly name: string;
  readonly backend: WireguardBackend;
  /** Makes the interface where it is missing. `made` is empty and down; `adopted` carries what it carried before. */
  ensure(): Promise<Result<"made" | "adopted">>;
  /** Ends it and everything that goes through it. Success when there is none. */
  remove(): Promise<Result<void>>;
}

/** The failure of a change, by the name of its cause where the cause is that somebody else has the port. */
export function portTaken<T>(result: Result<T>, command: string, { listenPort }: WireguardChange): Result<T> {
  if (result.ok || listenPort === undefined) return result;
  if (!/EADDRINUSE|Address already in use/i.test(String(result.failure.facts.error))) return result;
  const error = `UDP port ${listenPort} is taken by another process`;
  return failed("datapath.failing", { command, error }, result.failure);
}
