import { success } from "../../protocol/failures.ts";
import { auditOf, conflict, type Deciders, notFound } from "./decision.ts";
import { put, remove } from "./rows.ts";
import { deviceCodeView, groupView, otpView, tokenView } from "./show-access.ts";

/** Who may come in: groups, one-time passwords, join codes and admin tokens. */
export const accessDeciders: Deciders<
  | "group.create"
  | "group.remove"
  | "otp.create"
  | "otp.revoke"
  | "deviceCode.create"
  | "deviceCode.revoke"
  | "token.create"
  | "token.revoke"
> = {
  "group.create": ({ group }, context) => {
    const { model, nowMs } = context;
    if (model.groups.has(group)) return conflict("it exists", { group });
    const row = { name: group, createdAtMs: nowMs };
    const audit = [auditOf(context, "group.create", `group/${group}`, null, row)];
    return success({
      plan: { changes: [put("group", row)], audit },
      answer: () => groupView(row, model),
    });
  },

  "group.remove": ({ group }, context) => {
    const { model, nowMs } = context;
    const row = model.groups.get(group);
    if (row === undefined) return notFound("group", group);
    const connector = model.serviceOf.get(group)?.connector;
    if (connector !== undefined) return conflict("a connector serves the group", { group, connector });
    const devices = model.devicesOf(group).size;
    if (devices > 0) return conflict("devices are of the group", { group, devices });
    const codes = [...model.deviceCodes.values()].filter((code) => code.group === group);
    const open = codes.filter(({ use, expiresAtMs }) => use.is === "open" && nowMs < expiresAtMs).length;
    if (open > 0) return conflict("open join codes are of the group", { group, codes: open });
    const view = groupView(row, model);
    const changes = [remove("group", group), ...codes.map(({ id }) => remove("deviceCode", id))];
    const audit = [auditOf(context, "group.remove", `group/${group}`, row, null)];
    return success({ plan: { changes, audit }, answer: () => view });
  },

  "otp.create": ({ connector, lifeMinutes }, context) => {
    const { model, makers, nowMs, actor } = context;
    if (!model.connectors.has(connector)) return notFound("connector", connector);
    const secret = makers.secret("otp");
    const row = {
      id: makers.id(),
      hash: makers.hash(secret),
      connector,
      use: { is: "open" },
      createdAtMs: nowMs,
      expiresAtMs: nowMs + lifeMinutes * 60_000,
      createdBy: actor,
    } as const;
    const audit = [auditOf(context, "otp.create", `otp/${row.id}`, null, row)];
    return success({
      plan: { changes: [put("otp", row)], audit },
      answer: () => ({ ...otpView(row, nowMs), secret }),
    });
  },

  "otp.revoke": ({ otp: id }, context) => {
    const before = context.model.otps.get(id);
    if (before === undefined) return notFound("otp", id);
    if (before.use.is === "used") return conflict("it is used; remove the instance instead", { otp: id });
    const after = { ...before, use: { is: "revoked" } } as const;
    const audit = [auditOf(context, "otp.revoke", `otp/${id}`, before, after)];
    return success({
      plan: { changes: [put("otp", after)], audit },
      answer: () => otpView(after, context.nowMs),
    });
  },

  "deviceCode.create": ({ user, group, lifeMinutes }, context) => {
    const { model, makers, nowMs, actor } = context;
    if (!model.groups.has(group)) return notFound("group", group);
    const secret = makers.secret("code");
    const row = {
      id: makers.id(),
      hash: makers.hash(secret),
      user,
      group,
      use: { is: "open" },
      createdAtMs: nowMs,
      expiresAtMs: nowMs + lifeMinutes * 60_000,
      createdBy: actor,
    } as const;
    const audit = [auditOf(context, "deviceCode.create", `deviceCode/${row.id}`, null, row)];
    return success({
      plan: { changes: [put("deviceCode", row)], audit },
      answer: () => ({ ...deviceCodeView(row, nowMs), secret }),
    });
  },

  "deviceCode.revoke": ({ deviceCode: id }, context) => {
    const before = context.model.deviceCodes.get(id);
    if (before === undefined) return notFound("deviceCode", id);
    if (before.use.is === "used")
      return conflict("it is used; remove the device instead", { deviceCode: id });
    const after = { ...before, use: { is: "revoked" } } as const;
    const audit = [auditOf(context, "deviceCode.revoke", `deviceCode/${id}`, before, after)];
    return success({
      plan: { changes: [put("deviceCode", after)], audit },
      answer: () => deviceCodeView(after, context.nowMs),
    });
  },

  "token.create": ({ name }, context) => {
    const { model, makers, nowMs, actor } = context;
    if (model.tokens.has(name)) return conflict("it exists", { token: name });
    const secret = makers.secret("token");
    const row = { name, hash: makers.hash(secret), createdAtMs: nowMs, createdBy: actor };
    const audit = [auditOf(context, "token.create", `token/${name}`, null, row)];
    return success({
      plan: { changes: [put("token", row)], audit },
      answer: () => ({ ...tokenView(row), secret }),
    });
  },

  "token.revoke": ({ name }, context) => {
    const row = context.model.tokens.get(name);
    if (row === undefined) return notFound("token", name);
    const audit = [auditOf(context, "token.revoke", `token/${name}`, row, null)];
    return success({ plan: { changes: [remove("token", name)], audit }, answer: () => tokenView(row) });
  },
};
