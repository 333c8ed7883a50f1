import { type Result, success } from "../../protocol/failures.ts";
import { auditOf, type DecideContext, type Deciders, notFound, refusal } from "./decision.ts";
import { type CarrierRow, type InstanceRow, nothing, put } from "./rows.ts";

/** By command alone: which instance of an active-standby connector carries, and all its sessions with it. */
export const failoverDeciders: Deciders<"connector.failover"> = {
  "connector.failover": ({ connector, to }, context) => {
    const { model } = context;
    const row = model.connectors.get(connector);
    if (row === undefined) return notFound("connector", connector);
    if (row.mode !== "active-standby") {
      return refusal("admin.conflict", {
        field: "mode",
        value: row.mode,
        problem: "has no standby to fail over to",
        fix: "Move the sessions off one instance with: connector-controller instance drain NAME.",
      });
    }
    const current = model.carriers.get(connector);
    const target = targetOf(connector, current, to, context);
    if (!target.ok) return target;
    const { id: instance, name } = target.value;
    const answer: (views: DecideContext["views"]) => NonNullable<ReturnType<typeof views.connector>> = (
      views,
    ) => {
      const view = views.connector(connector);
      if (view === undefined) throw new Error("a stored connector has a view");
      return view;
    };
    const isCarrying = current?.instance === instance;
    if (isCarrying && current.why === "failover") return success({ plan: nothing, answer });
    const sinceMs = isCarrying ? current.sinceMs : context.nowMs;
    const after: CarrierRow = { name: connector, instance, sinceMs, why: "failover" };
    const before = current && { carrier: model.instances.get(current.instance)?.name ?? current.instance };
    const subject = `connector/${connector}`;
    const audit = [auditOf(context, "connector.failover", subject, before ?? null, { carrier: name })];
    return success({ plan: { changes: [put("carrier", after)], audit }, answer });
  },
};

function targetOf(
  connector: string,
  current: CarrierRow | undefined,
  to: string | undefined,
  context: DecideContext,
): Result<InstanceRow> {
  const instances = context.model.instancesOf(connector);
  const [other, ...more] = instances.filter(({ id }) => id !== current?.instance);
  if (to === undefined) {
    if (other !== undefined && more.length === 0) return ready(other, context);
    return other === undefined
      ? refusal("admin.conflict", {
          field: "to",
          problem: `${connector} has no second instance`,
          fix: `Launch one with an OTP: connector-controller otp create ${connector}.`,
        })
      : refusal("admin.conflict", {
          field: "to",
          problem: "no instance carries yet, so there is no other one",
          fix: `Name one: --to ${instances.map(({ name }) => name).join(" or ")}.`,
        });
  }
  const named = instances.find(({ name }) => name === to);
  if (named !== undefined) return ready(named, context);
  const names = instances.map(({ name }) => name).toSorted();
  return refusal("admin.invalid", {
    field: "to",
    value: to,
    problem: `is no instance of ${connector}`,
    fix: names.length === 0 ? "No instance has enrolled yet." : `Give ${names.join(" or ")}.`,
  });
}

/** Nobody is sent to an instance that could not take anybody. */
function ready(row: InstanceRow, { views }: DecideContext): Result<InstanceRow> {
  const { name } = row;
  const view = views.instance(name);
  const problem = view === undefined ? "is not known" : unready(view);
  if (problem === undefined) return success(row);
  const fix =
    view?.drain === true
      ? `End its drain first: connector-controller instance resume ${name}.`
      : `See what it lacks: connector-controller instance show ${name}.`;
  return refusal("admin.conflict", { field: "to", value: name, problem, fix });
}

function unready(view: NonNullable<ReturnType<DecideContext["views"]["instance"]>>): string | undefined {
  const { status, drain, judgement } = view;
  if (drain) return "is drained by an administrator, so it takes no sessions";
  if (status !== "Active") return `is ${status}, so it takes no sessions`;
  // It may be on its way out because the other one was let carry: that is what is taken back.
  if (judgement.is === "serving" || judgement.why === "failover") return undefined;
  return `is judged ${judgement.is} (${judgement.why}), so it takes no sessions`;
}
