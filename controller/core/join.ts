import { type Failure, failed, type Result, success } from "../../protocol/failures.ts";
import type { Join } from "../../protocol/messages.ts";
import type { Admission } from "./enrol.ts";
import { greetDevice, wireguardKeyProblem } from "./hello.ts";
import type { Model } from "./model.ts";
import { alsoSpent, usedBy } from "./one-time.ts";
import type { Makers } from "./ports.ts";
import { type DeviceCodeRow, type DeviceRow, put } from "./rows.ts";

/** Whether a device becomes its user's device. The same rules as for an OTP: one code, one key, one transaction. */
export function decideJoin(
  request: Join,
  context: { readonly model: Model; readonly makers: Makers; readonly nowMs: number },
): Result<Admission<DeviceRow>> {
  const { model, makers, nowMs } = context;
  const code = model.codeByHash.get(makers.hash(request.code));
  const known = model.deviceByKey.get(request.identityKey);
  if (code === undefined) return failed("code.unknown");
  const problem = codeProblem(code, request.identityKey, known, nowMs);
  if (problem !== undefined) return { ok: false, failure: problem };
  if (known !== undefined) {
    if (known.user !== code.user || known.group !== code.group) return failed("code.other-user");
    const greeted = greetDevice(known, request.wireguardKey, model, nowMs);
    if (!greeted.ok) return greeted;
    return success(alsoSpent(greeted.value, { table: "deviceCode", row: code }, known.id, nowMs));
  }
  const taken = wireguardKeyProblem(request.wireguardKey, undefined, model);
  if (taken !== undefined) return { ok: false, failure: taken };
  const row: DeviceRow = {
    id: makers.id(),
    name: request.name,
    user: code.user,
    group: code.group,
    identityKey: request.identityKey,
    wireguardKey: request.wireguardKey,
    joinedAtMs: nowMs,
  };
  const use = usedBy(request.identityKey, row.id);
  const audit = {
    atMs: nowMs,
    actor: `deviceCode:${code.id}`,
    action: "device.join",
    subject: `device/${row.id}`,
    before: null,
    after: row,
  };
  const plan = { changes: [put("device", row), put("deviceCode", { ...code, use })], audit: [audit] };
  return success({ isNew: true, plan, row });
}

function codeProblem(
  code: DeviceCodeRow,
  identityKey: string,
  known: DeviceRow | undefined,
  nowMs: number,
): Failure | undefined {
  switch (code.use.is) {
    case "revoked":
      return failed("code.revoked").failure;
    case "used":
      if (code.use.identityKey === identityKey && known !== undefined) return undefined;
      return failed("code.used").failure;
    case "open":
      return nowMs < code.expiresAtMs ? undefined : failed("code.expired").failure;
  }
}
