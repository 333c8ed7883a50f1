import type { DeviceObserved, Entry } from "../../protocol/state.ts";
import type { StateSource } from "../../protocol/sync.ts";
import type { Wants } from "./attachment.ts";
import type { Hold } from "./saved.ts";

type Value<Kind extends keyof DeviceObserved> = Extract<Entry<DeviceObserved>, { kind: Kind }>["value"];

/** What the controller is told: what the device is and wants, and the attachment it holds. */
export function observedSource(
  host: { readonly hostOs: string; readonly version: string },
  now: () => { readonly hold: Hold; readonly wants: Wants },
): StateSource {
  return {
    keys: () => ["device", "held"],
    get(key) {
      const { hold, wants } = now();
      if (key === "device") return deviceEntry(host, wants);
      return key === "held" ? heldEntry(hold) : undefined;
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
