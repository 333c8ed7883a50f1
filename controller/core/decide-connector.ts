import { type Result, success } from "../../protocol/failures.ts";
import { limits } from "../../protocol/limits.ts";
import type { DeploymentMode } from "../../protocol/specs.ts";
import { type ConnectorChange, resourcesMax } from "./admin.ts";
import {
  auditOf,
  conflict,
  type DecideContext,
  type Deciders,
  type Decision,
  invalid,
  notFound,
  refusal,
} from "./decision.ts";
import { servesPool } from "./model.ts";
import { poolsFit } from "./pools.ts";
import { type ConnectorRow, put, remove } from "./rows.ts";
import type { ConnectorView } from "./views.ts";

/** How many instances a deployment mode takes. */
export const instancesMax: Readonly<Record<DeploymentMode, number>> = {
  standalone: 1,
  "active-standby": 2,
  "active-active": limits.instancesPerGroupMax,
};

export const connectorDeciders: Deciders<
  "connector.create" | "connector.update" | "connector.remove" | "resource.set" | "resource.remove"
> = {
  "connector.create": ({ connector: input }, context) => {
    if (context.model.connectors.has(input.name)) return conflict("it exists", { connector: input.name });
    const { userIpManagement: _, ...rest } = input;
    return decided("connector.create", undefined, { ...rest, createdAtMs: context.nowMs }, context);
  },

  "connector.update": ({ connector, change }, context) =>
    changed("connector.update", connector, () => success(change), context),

  "connector.remove": ({ connector }, context) => {
    const before = context.model.connectors.get(connector);
    if (before === undefined) return notFound("connector", connector);
    const names = context.model.instancesOf(connector).map(({ name }) => name);
    if (names.length > 0) return conflict("it has instances", { connector, instances: names.join(", ") });
    const otps = [...context.model.otps.values()].filter((otp) => otp.connector === connector);
    const changes = [
      remove("connector", connector),
      remove("carrier", connector),
      remove("restart", connector),
      ...otps.map(({ id }) => remove("otp", id)),
    ];
    const view = context.views.connector(connector);
    if (view === undefined) return notFound("connector", connector);
    const audit = [auditOf(context, "connector.remove", `connector/${connector}`, before, null)];
    return success({ plan: { changes, audit }, answer: () => view });
  },

  "resource.set": ({ connector, resource }, context) =>
    changed(
      "resource.set",
      connector,
      ({ resources }) => {
        const others = resources.filter(({ name }) => name !== resource.name);
        return success({ resources: [...others, resource] });
      },
      context,
    ),

  "resource.remove": ({ connector, resource }, context) =>
    changed(
      "resource.remove",
      connector,
      ({ resources }) => {
        const others = resources.filter(({ name }) => name !== resource);
        return others.length < resources.length
          ? success({ resources: others })
          : notFound("resource", resource);
      },
      context,
    ),
};

function changed(
  action: string,
  name: string,
  change: (row: ConnectorRow) => Result<ConnectorChange>,
  context: DecideContext,
): Result<Decision<ConnectorView>> {
  const before = context.model.connectors.get(name);
  if (before === undefined) return notFound("connector", name);
  const wanted = change(before);
  if (!wanted.ok) return wanted;
  const given = Object.entries(wanted.value).filter(([, value]) => value !== undefined);
  return decided(action, before, { ...before, ...Object.fromEntries(given) }, context);
}

/** The one way a connector comes to be what it is: whole row in, every rule checked. */
function decided(
  action: string,
  before: ConnectorRow | undefined,
  after: ConnectorRow,
  context: DecideContext,
): Result<Decision<ConnectorView>> {
  const problem =
    specProblem(after) ?? groupProblem(after, context) ?? instanceProblem(before, after, context);
  if (problem !== undefined) return problem;
  const isAlone = after.mode !== "active-standby" && context.model.carriers.has(after.name);
  return success({
    plan: {
      changes: [put("connector", after), ...(isAlone ? [remove("carrier", after.name)] : [])],
      audit: [auditOf(context, action, `connector/${after.name}`, before ?? null, after)],
    },
    answer: (views) => {
      const view = views.connector(after.name);
      if (view === undefined) throw new Error("a stored connector has a view");
      return view;
    },
  });
}

type Problem = ReturnType<typeof invalid> | undefined;

function specProblem({ mode, hosting, vpc, accounts, groups, resources }: ConnectorRow): Problem {
  if (mode === "active-active" && hosting !== "aws") {
    return refusal("admin.invalid", {
      field: "mode",
      value: mode,
      problem: `needs hosting environment aws, where prefixes are routed to instances; this is ${hosting}`,
      fix: "Give standalone or active-standby, or create the connector with hosting aws.",
    });
  }
  if (hosting !== "aws" && (vpc !== null || accounts.length > 0)) {
    return refusal("admin.invalid", {
      field: vpc === null ? "accounts" : "vpc",
      value: vpc ?? accounts.join(", "),
      problem: `only hosting environment aws has VPCs and accounts; this is ${hosting}`,
      fix: "Leave it out.",
    });
  }
  if (resources.length > resourcesMax) return invalid("resources", `at most ${resourcesMax}`);
  const twice = duplicate(groups.map(({ group }) => group));
  if (twice !== undefined) return invalid("groups", `group ${twice} is named twice`);
  const twicePool = duplicate(groups.map(({ pool }) => pool));
  if (twicePool !== undefined) return invalid("groups", `pool ${twicePool} is named twice`);
  const twiceResource = duplicate(resources.map(({ name }) => name));
  if (twiceResource !== undefined) return invalid("resources", `resource ${twiceResource} is named twice`);
  const members = new Set(groups.map(({ group }) => group));
  for (const resource of resources) {
    const stranger = resource.groups.find((group) => !members.has(group));
    if (stranger !== undefined) {
      return invalid(`resources.${resource.name}.groups`, `${stranger} is no group of this connector`);
    }
  }
  return undefined;
}

function groupProblem({ name, groups }: ConnectorRow, { model }: DecideContext): Problem {
  for (const { group } of groups) {
    if (!model.groups.has(group)) return notFound("group", group);
    const other = model.serviceOf.get(group)?.connector;
    if (other !== undefined && other !== name) {
      return conflict("another connector serves the group", { group, connector: other });
    }
  }
  return undefined;
}

/** A change must not make wrong what instances already are. */
function instanceProblem(
  before: ConnectorRow | undefined,
  after: ConnectorRow,
  { model }: DecideContext,
): Problem {
  const instances = model.instancesOf(after.name);
  if (before === undefined || instances.length === 0) return undefined;
  if (instances.length > instancesMax[after.mode]) {
    const max = instancesMax[after.mode];
    return refusal("admin.conflict", {
      field: "mode",
      value: after.mode,
      problem: `takes ${max === 1 ? "1 instance" : `${max} instances`}, and ${instances.length} are enrolled`,
      fix: `Drain and remove ${instances.length - max} first: connector-controller instance remove NAME.`,
    });
  }
  if (after.region !== before.region) {
    return refusal("admin.conflict", {
      field: "region",
      value: after.region,
      problem: `instances are enrolled in ${before.region}, and a connector is in one region`,
      fix: "Create another connector for the other region.",
    });
  }
  const elsewhere = instances.find(({ vpcId }) => after.vpc !== null && vpcId !== after.vpc);
  if (elsewhere !== undefined) {
    return refusal("admin.conflict", {
      field: "vpc",
      value: after.vpc ?? "",
      problem: `${elsewhere.name} is in ${elsewhere.vpcId}, and all instances of a connector are in one VPC`,
      fix: `Give ${elsewhere.vpcId}, or remove the instances that are elsewhere first.`,
    });
  }
  const pools = new Map(after.groups.map(({ pool, group }) => [pool, group]));
  for (const { pool, group } of before.groups) {
    if (pools.get(pool) === group) continue;
    const user = instances.find((instance) => servesPool(instance, pool));
    if (user !== undefined) {
      return conflict("an instance has ranges in the pool; empty it there first", {
        pool,
        instance: user.name,
      });
    }
  }
  for (const instance of instances) {
    const fit = poolsFit(instance, after);
    if (!fit.ok) return fit;
  }
  return undefined;
}

function duplicate(names: readonly string[]): string | undefined {
  return names.find((name, i) => names.indexOf(name) !== i);
}
