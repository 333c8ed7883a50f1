import type { Admission } from "./enrol.ts";
import { type DeviceCodeRow, type OneTimeUse, type OtpRow, put } from "./rows.ts";

export function usedBy(identityKey: string, by: string): OneTimeUse {
  return { is: "used", identityKey, by };
}

type OneTime =
  | { readonly table: "otp"; readonly row: OtpRow }
  | { readonly table: "deviceCode"; readonly row: DeviceCodeRow };

/**
 * A secret that somebody shows who is in already: it is spent like any other, because it has left the hand that it was
 * given into. Without this, a second host could come in with it.
 */
export function alsoSpent<Row extends { readonly identityKey: string }>(
  admission: Admission<Row>,
  { table, row }: OneTime,
  by: string,
  nowMs: number,
): Admission<Row> {
  if (row.use.is !== "open") return admission;
  const use = usedBy(admission.row.identityKey, by);
  const audit = {
    atMs: nowMs,
    actor: `${table}:${row.id}`,
    action: `${table}.use`,
    subject: `${table}/${row.id}`,
    before: row.use,
    after: use,
  };
  const { changes, audit: audits } = admission.plan;
  const plan = { changes: [...changes, put(table, { ...row, use })], audit: [...audits, audit] };
  return { ...admission, plan };
}
