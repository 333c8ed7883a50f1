import { failed, type Result, success } from "../../protocol/failures.ts";
import type { Hello } from "../../protocol/messages.ts";
import type { Admission } from "./enrol.ts";
import type { Model } from "./model.ts";
import { type DeviceRow, type InstanceRow, nothing, put } from "./rows.ts";

/** Who says hello: an instance or a device that came in before. */
export function decideHello(
  { role, identityKey, wireguardKey }: Hello,
  model: Model,
): Result<Admission<InstanceRow | DeviceRow>> {
  switch (role) {
    case "agent": {
      const row = model.instanceByKey.get(identityKey);
      return row === undefined ? failed("link.identity-unknown") : success(greetInstance(row, wireguardKey));
    }
    case "device": {
      const row = model.deviceByKey.get(identityKey);
      return row === undefined ? failed("link.identity-unknown") : success(greetDevice(row, wireguardKey));
    }
  }
}

/** A WireGuard key that was made anew is taken: the identity key, which proved itself, vouches for it. */
export function greetInstance(row: InstanceRow, wireguardKey: string): Admission<InstanceRow> {
  if (row.wireguardKey === wireguardKey) return { plan: nothing, row };
  const after = { ...row, wireguardKey };
  return { plan: { changes: [put("instance", after)], audit: [] }, row: after };
}

export function greetDevice(row: DeviceRow, wireguardKey: string): Admission<DeviceRow> {
  if (row.wireguardKey === wireguardKey) return { plan: nothing, row };
  const after = { ...row, wireguardKey };
  return { plan: { changes: [put("device", after)], audit: [] }, row: after };
}
