import { failed, type Result, success } from "../../protocol/failures.ts";
import type { Actor, AdminCommand, AdminPort, CommandResults } from "../core/admin.ts";
import type { Page } from "../core/views.ts";
import { readAudit } from "./audit.ts";
import type { Answer, EndpointName, Received } from "./endpoints.ts";
import { InvalidRequest } from "./problem.ts";

export interface Context {
  readonly admin: AdminPort;
  readonly actor: Actor;
  readonly lastUsedMs: ReadonlyMap<Actor, number>;
}

type Handler<Name extends EndpointName> = (
  context: Context,
  request: Received<Name>,
) => Result<Answer<Name>> | Promise<Result<Answer<Name>>>;

/** What each endpoint does: reads are views, changes are commands. */
export const handlers: { readonly [Name in EndpointName]: Handler<Name> } = {
  "connector.list": ({ admin }) => all(admin.views.connectors()),
  "connector.show": ({ admin }, { params }) =>
    one("connector", params.connector, admin.views.connector(params.connector)),
  "connector.create": (context, { body }) => run(context, { command: "connector.create", connector: body }),
  "connector.update": (context, { params, body }) =>
    run(context, { command: "connector.update", ...params, change: body }),
  "connector.remove": (context, { params }) => run(context, { command: "connector.remove", ...params }),
  "connector.failover": (context, { params, body }) =>
    run(context, { command: "connector.failover", ...params, ...body }),
  "connector.restart": (context, { params, body }) =>
    run(context, { command: "connector.restart", ...params, ...body }),
  "connector.restart.show": ({ admin }, { params }) => {
    const connector = one("connector", params.connector, admin.views.connector(params.connector));
    if (!connector.ok) return connector;
    return one("restart of connector", params.connector, admin.views.restart(params.connector));
  },
  "connector.restart.cancel": (context, { params }) =>
    run(context, { command: "connector.restart.cancel", ...params }),

  "resource.list": ({ admin }, { params }) => {
    const connector = one("connector", params.connector, admin.views.connector(params.connector));
    return connector.ok ? all(connector.value.resources) : connector;
  },
  "resource.set": (context, { params, body }) => {
    if (params.resource !== body.name) return otherName(params.resource, body.name);
    return run(context, { command: "resource.set", connector: params.connector, resource: body });
  },
  "resource.remove": (context, { params }) => run(context, { command: "resource.remove", ...params }),

  "group.list": ({ admin }) => all(admin.views.groups()),
  "group.create": (context, { body }) => run(context, { command: "group.create", ...body }),
  "group.remove": (context, { params }) => run(context, { command: "group.remove", ...params }),

  "otp.list": ({ admin }, { query }) =>
    ofConnector(admin, query.connector, () => admin.views.otps(query.connector)),
  "otp.create": (context, { params, body }) => run(context, { command: "otp.create", ...params, ...body }),
  "otp.revoke": (context, { params }) => run(context, { command: "otp.revoke", ...params }),

  "instance.list": ({ admin }, { query }) =>
    ofConnector(admin, query.connector, () => admin.views.instances(query.connector)),
  "instance.show": ({ admin }, { params }) =>
    one("instance", params.instance, admin.views.instance(params.instance)),
  "instance.pools.set": (context, { params, body }) =>
    run(context, { command: "instance.pools.set", ...params, pools: body }),
  "instance.drain": (context, { params }) => run(context, { command: "instance.drain", ...params }),
  "instance.resume": (context, { params }) => run(context, { command: "instance.resume", ...params }),
  "instance.remove": (context, { params }) => run(context, { command: "instance.remove", ...params }),

  "deviceCode.list": ({ admin }) => all(admin.views.deviceCodes()),
  "deviceCode.create": (context, { body }) => run(context, { command: "deviceCode.create", ...body }),
  "deviceCode.revoke": (context, { params }) => run(context, { command: "deviceCode.revoke", ...params }),

  "device.list": ({ admin }, { query }) => page(query, (part) => admin.views.devices(part)),
  "device.show": ({ admin }, { params }) => one("device", params.device, admin.views.device(params.device)),
  "device.remove": (context, { params }) => run(context, { command: "device.remove", ...params }),

  "session.list": ({ admin }, { query }) => {
    const { instance, state } = query;
    if (instance !== undefined && admin.views.instance(instance) === undefined)
      return missing("instance", instance);
    return page(query, (part) => admin.views.sessions({ instance, state }, part));
  },
  "session.show": ({ admin }, { params }) =>
    one("session", params.session, admin.views.session(params.session)),
  "session.end": (context, { params }) => run(context, { command: "session.end", ...params }),

  "audit.list": ({ admin }, { query }) => readAudit(admin, query),

  "token.list": ({ admin, lastUsedMs }) =>
    all(
      admin.views
        .tokens()
        .map((token) => ({ ...token, lastUsedMs: lastUsedMs.get(`token:${token.name}`) ?? null })),
    ),
  "token.create": (context, { body }) => run(context, { command: "token.create", ...body }),
  "token.revoke": (context, { params }) => run(context, { command: "token.revoke", name: params.token }),
};

interface List<Item> {
  items: Item[];
  next: string | null;
}

function all<Item>(items: Item[]): Result<List<Item>> {
  return success({ items, next: null });
}

/** One page. A full page may be the last one; then the next is empty. */
function page<Item extends { id: string }>(
  query: { limit: number; after?: string | undefined },
  read: (part: Page) => Item[],
): Result<List<Item>> {
  const items = read({ after: query.after, limit: query.limit });
  return success({ items, next: items.length < query.limit ? null : (items.at(-1)?.id ?? null) });
}

function one<View>(kind: string, name: string, view: View | undefined): Result<View> {
  return view === undefined ? missing(kind, name) : success(view);
}

function ofConnector<Item>(
  admin: AdminPort,
  connector: string | undefined,
  read: () => Item[],
): Result<List<Item>> {
  if (connector !== undefined && admin.views.connector(connector) === undefined) {
    return missing("connector", connector);
  }
  return all(read());
}

function run<C extends AdminCommand>(
  { admin, actor }: Context,
  command: C,
): Promise<Result<CommandResults[C["command"]]>> {
  return admin.command(command, actor);
}

function missing(kind: string, name: string): Result<never> {
  return failed("admin.not-found", { [kind]: name });
}

function otherName(inPath: string, inBody: string): Result<never> {
  const problem = { field: "name", value: inBody, problem: "differs from the path", fix: `Give ${inPath}.` };
  return { ok: false, failure: new InvalidRequest([problem]) };
}
