import type { Model } from "./model.ts";
import type { DeviceCodeRow, GroupRow, OneTimeUse, OtpRow, TokenRow } from "./rows.ts";
import type { DeviceCodeView, GroupView, OtpView, TokenView } from "./views.ts";

export function groupView(row: GroupRow, model: Model): GroupView {
  const service = model.serviceOf.get(row.name);
  return {
    name: row.name,
    connector: service?.connector ?? null,
    pool: service?.pool.pool ?? null,
    devices: model.devicesOf(row.name).size,
    createdAtMs: row.createdAtMs,
  };
}

export function otpView(row: OtpRow, nowMs: number): OtpView {
  const { id, connector, createdAtMs, expiresAtMs, createdBy } = row;
  return { id, connector, createdAtMs, expiresAtMs, createdBy, ...useOf(row.use, expiresAtMs, nowMs) };
}

export function deviceCodeView(row: DeviceCodeRow, nowMs: number): DeviceCodeView {
  const { id, user, group, createdAtMs, expiresAtMs, createdBy } = row;
  return { id, user, group, createdAtMs, expiresAtMs, createdBy, ...useOf(row.use, expiresAtMs, nowMs) };
}

export function tokenView({ name, createdAtMs, createdBy }: TokenRow): TokenView {
  return { name, createdAtMs, createdBy };
}

function useOf(use: OneTimeUse, expiresAtMs: number, nowMs: number): Pick<OtpView, "state" | "usedBy"> {
  switch (use.is) {
    case "open":
      return { state: nowMs < expiresAtMs ? "open" : "expired", usedBy: null };
    case "revoked":
      return { state: "revoked", usedBy: null };
    case "used":
      return { state: "used", usedBy: use.by };
  }
}
