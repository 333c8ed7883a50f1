import { Failure, failed, type Result, success } from "../../protocol/failures.ts";
import type { Hello } from "../../protocol/messages.ts";
import type { Admission } from "./enrol.ts";
import type { Model } from "./model.ts";
import { type AuditDraft, type DeviceRow, type InstanceRow, nothing, put } from "./rows.ts";

/** Who says hello: an instance or a device that came in before. */
export function decideHello(
  { role, identityKey, wireguardKey }: Hello,
  model: Model,
  nowMs: number,
): Result<Admission<InstanceRow | DeviceRow>> {
  switch (role) {
    case "agent": {
      const row = model.instanceByKey.get(identityKey);
      return row === undefined
        ? failed("link.identity-unknown")
        : success(greetInstance(row, wireguardKey, nowMs));
    }
    case "device": {
      const row = model.deviceByKey.get(identityKey);
      return row === undefined
        ? failed("link.identity-unknown")
        : greetDevice(row, wireguardKey, model, nowMs);
    }
  }
}

/** A WireGuard key that was made anew is taken: the identity key, which proved itself, vouches for it. */
export function greetInstance(row: InstanceRow, wireguardKey: string, nowMs: number): Admission<InstanceRow> {
  if (row.wireguardKey === wireguardKey) return { isNew: false, plan: nothing, row };
  const after = { ...row, wireguardKey };
  const audit = newKey(`instance/${row.name}`, row, after, nowMs);
  return { isNew: false, plan: { changes: [put("instance", after)], audit: [audit] }, row: after };
}

export function greetDevice(
  row: DeviceRow,
  wireguardKey: string,
  model: Model,
  nowMs: number,
): Result<Admission<DeviceRow>> {
  if (row.wireguardKey === wireguardKey) return success({ isNew: false, plan: nothing, row });
  const taken = wireguardKeyProblem(wireguardKey, row.id, model);
  if (taken !== undefined) return { ok: false, failure: taken };
  const after = { ...row, wireguardKey };
  const audit = newKey(`device/${row.id}`, row, after, nowMs);
  return success({ isNew: false, plan: { changes: [put("device", after)], audit: [audit] }, row: after });
}

/** An instance has one WireGuard peer per key: a second device with it would take the first one's packets away. */
export function wireguardKeyProblem(
  key: string,
  device: string | undefined,
  model: Model,
): Failure | undefined {
  const holder = model.deviceByWireguardKey.get(key);
  if (holder === undefined || holder.id === device) return undefined;
  return new Failure("link.wireguard-key-in-use");
}

interface Keyed {
  readonly wireguardKey: string;
}

function newKey(subject: string, before: Keyed, after: Keyed, atMs: number): AuditDraft {
  return {
    atMs,
    actor: subject,
    action: "wireguardKey.replace",
    subject,
    before: { wireguardKey: before.wireguardKey },
    after: { wireguardKey: after.wireguardKey },
  };
}
