import type { Failure } from "../protocol/failures.ts";
import type { KeyPair } from "../protocol/node/keys.ts";
import type { Logger } from "../protocol/node/log.ts";
import { instanceEnd } from "../protocol/tunnel.ts";
import { TunnelFile, type TunnelOn, type TunnelStatus } from "./adapters/tunnel-file.ts";
import type { NamesWay } from "./adapters/tunnel-names.ts";
import type { Attached } from "./core/attachment.ts";
import type { DeviceInput } from "./core/effects.ts";
import { type RunningTunnel, startTunnel } from "./tunnel.ts";

/** How this host carries the tunnel, or why it does not. */
export type TunnelChoice =
  | { readonly is: "on"; readonly interface: string; readonly names: NamesWay }
  | { readonly is: "off"; readonly why: "tunnel.not-permitted" | null };

/** The tunnel of a device that runs: tells its core what the probe says, and keeps the file that `status` reads. */
export function startCarrier(options: {
  readonly choice: TunnelChoice;
  readonly key: KeyPair;
  readonly stateFolder: string;
  readonly log: Logger;
  readonly post: (input: DeviceInput) => void;
}): RunningTunnel | undefined {
  const { choice, key, log, post } = options;
  const file = new TunnelFile(options.stateFolder);
  const write = (status: TunnelStatus) => {
    try {
      file.write(status);
    } catch (error) {
      log.warn({ problem: (error as Error).message }, "the tunnel's state cannot be written for `status`");
    }
  };
  if (choice.is === "off") {
    write({ state: "off", why: choice.why });
    return undefined;
  }
  let shown: TunnelOn = {
    ...{ state: "on", interface: choice.interface, names: choice.names },
    ...{ backend: null, path: null, problem: null },
  };
  write(shown);
  const show = (change: Partial<TunnelOn>) => {
    shown = { ...shown, ...change, backend: tunnel.backend ?? null };
    write(shown);
  };
  const tunnel = startTunnel({
    ...{ name: choice.interface, names: choice.names, key, end: instanceEnd, log },
    onCarries(path) {
      post({ kind: "carries", path });
      show({ path: path === undefined ? null : { ...named(path), verdict: null } });
    },
    onVerdict(path, verdict) {
      post({ kind: "verdict", path, verdict });
      show({ path: { ...named(path), verdict: { is: verdict, sinceMs: Date.now() } } });
    },
    onProblem: (problem) => show({ problem: problem === undefined ? null : textOf(problem) }),
  });
  return tunnel;
}

function named({ session, epoch, instance, wireguardKey }: Attached) {
  return { session, epoch, instance, wireguardKey };
}

function textOf({ code, message }: Failure) {
  return { code, text: message };
}
