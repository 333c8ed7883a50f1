import type { DeviceObserved, Entry } from "../../protocol/state.ts";
import type { StateSource } from "../../protocol/sync.ts";
import type { Attached, Wants } from "./attachment.ts";
import type { Verdict } from "./probe.ts";
import type { Hold } from "./saved.ts";
import { pathOf } from "./tunnel-state.ts";

type Value<Kind extends keyof DeviceObserved> = Extract<Entry<DeviceObserved>, { kind: Kind }>["value"];

/** The probe's word on the path that carries the traffic. */
export interface PathVerdict {
  readonly on: Attached;
  readonly verdict: Verdict;
  readonly sinceMs: number;
}

export interface Host {
  readonly hostOs: string;
  readonly version: string;
  /** There is a tunnel, and a probe that says whether it works. */
  readonly probes: boolean;
}

/** What the device holds and uses, at the moment of asking. */
export interface Observed {
  readonly hold: Hold;
  readonly wants: Wants;
  /** What carries the tunnel's traffic; undefined where there is no tunnel, or none yet. */
  readonly carrier: Attached | undefined;
  readonly path: PathVerdict | undefined;
}

/** What the controller is told: what the device is and wants, the attachment it holds, and whether its path works. */
export function observedSource(host: Host, now: () => Observed): StateSource {
  return {
    keys: () => ["device", "held", "path"],
    get(key) {
      const { hold, wants, carrier, path } = now();
      if (key === "device") return deviceEntry(host, wants);
      if (key === "held") return heldEntry(hold, carrier);
      return key === "path" ? path && pathEntry(path) : undefined;
    },
  };
}

function deviceEntry({ hostOs, version, probes }: Host, wants: Wants): Value<"device"> {
  return { wants, hostOs, version, probes };
}

/**
 * The attachment taken last; while the traffic still goes by the one before, that one. So the controller can let go of the
 * old place when it hears the new epoch, and not before.
 */
function heldEntry(hold: Hold, carrier: Attached | undefined): Value<"held"> | undefined {
  if (hold.is !== "attached") return undefined;
  const isMoving = carrier !== undefined && pathOf(carrier) !== pathOf(hold.to);
  const { session, epoch, instance, ipv4, ipv6 } = isMoving ? carrier : hold.to;
  return {
    session,
    epoch,
    instance,
    ...(ipv4 === undefined ? {} : { ipv4 }),
    ...(ipv6 === undefined ? {} : { ipv6 }),
  };
}

/** Of the attachment that carries the traffic, which while the device moves is not yet the one it holds. */
function pathEntry({ on, verdict, sinceMs }: PathVerdict): Value<"path"> {
  const { session, epoch, instance } = on;
  return { session, epoch, instance, verdict, sinceMs };
}
