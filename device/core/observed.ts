import type { DeviceObserved, Entry } from "../../protocol/state.ts";
import type { StateSource } from "../../protocol/sync.ts";
import type { Attached, Wants } from "./attachment.ts";
import type { Verdict } from "./probe.ts";
import type { Hold } from "./saved.ts";

type Value<Kind extends keyof DeviceObserved> = Extract<Entry<DeviceObserved>, { kind: Kind }>["value"];

/** The probe's word on the path that carries the traffic. */
export interface PathVerdict {
  readonly on: Attached;
  readonly verdict: Verdict;
  readonly sinceMs: number;
}

/** What the controller is told: what the device is and wants, the attachment it holds, and whether its path works. */
export function observedSource(
  host: { readonly hostOs: string; readonly version: string },
  now: () => { readonly hold: Hold; readonly wants: Wants; readonly path: PathVerdict | undefined },
): StateSource {
  return {
    keys: () => ["device", "held", "path"],
    get(key) {
      const { hold, wants, path } = now();
      if (key === "device") return deviceEntry(host, wants);
      if (key === "held") return heldEntry(hold);
      return key === "path" ? path && pathEntry(path) : undefined;
    },
  };
}

function deviceEntry(host: { hostOs: string; version: string }, wants: Wants): Value<"device"> {
  return { wants, hostOs: host.hostOs, version: host.version };
}

function heldEntry(hold: Hold): Value<"held"> | undefined {
  if (hold.is !== "attached") return undefined;
  const { session, epoch, instance, ipv4, ipv6 } = hold.to;
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
