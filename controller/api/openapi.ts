import { createJsonSchemaTransform, createJsonSchemaTransformObject } from "fastify-type-provider-zod";
import { z } from "zod";
import { ResourceSpec } from "../../protocol/specs.ts";
import { Condition } from "../../protocol/view.ts";
import { DrainView, RestartSummary, RestartView } from "../core/restart-views.ts";
import * as views from "../core/views.ts";
import { type EndpointName, endpointOf } from "./endpoints.ts";
import { ErrorBody } from "./problem.ts";

/** Schemas that the document names, so that generated clients get types with names. */
const named = z.registry<{ id: string }>();
for (const [id, schema] of Object.entries({
  AuditEntry: views.AuditEntry,
  Condition,
  Connector: views.ConnectorView,
  Device: views.DeviceView,
  DeviceCode: views.DeviceCodeView,
  DeviceCodeCreated: views.DeviceCodeCreated,
  DeviceUserGroup: views.GroupView,
  Error: ErrorBody,
  Instance: views.InstanceView,
  Otp: views.OtpView,
  OtpCreated: views.OtpCreated,
  Drain: DrainView,
  EnterpriseResource: ResourceSpec,
  Restart: RestartView,
  RestartSummary,
  Session: views.SessionView,
  Token: views.TokenView,
  TokenCreated: views.TokenCreated,
})) {
  named.add(schema, { id });
}

/** What makes OpenAPI 3.1 of the routes: https://spec.openapis.org/oas/v3.1.1 */
export function openapi(version: string) {
  return {
    openapi: {
      openapi: "3.1.0",
      info: {
        title: "Connector controller",
        version,
        description:
          "The admin API of the connector group's controller. Every error has the same body, with a code of the " +
          "failure catalogue and what to do next.",
        license: { name: "Apache-2.0", identifier: "Apache-2.0" },
      },
      components: { securitySchemes: { adminToken: { type: "http" as const, scheme: "bearer" } } },
    },
    transform: createJsonSchemaTransform({ schemaRegistry: named }),
    transformObject: (document: Parameters<typeof transformObject>[0]) => usedOnly(transformObject(document)),
  };
}

const transformObject = createJsonSchemaTransformObject({ schemaRegistry: named });

/** Without the named schemas that nothing refers to: each is made twice, as input and as output. */
function usedOnly<Document extends object>(document: Document): Document {
  const { components } = document as { components?: { schemas?: Record<string, unknown> } };
  const schemas = components?.schemas ?? {};
  const text = JSON.stringify(document);
  const used = Object.entries(schemas).filter(([id]) => text.includes(`"#/components/schemas/${id}"`));
  const smaller = { ...document, components: { ...components, schemas: Object.fromEntries(used) } };
  // What was only referred to by what has just gone, goes next.
  return used.length < Object.keys(schemas).length ? usedOnly(smaller) : smaller;
}

/** The schemas of one endpoint as Fastify takes them. */
export function routeSchema(name: EndpointName) {
  const { tag, summary, params, query, body, status, answer } = endpointOf(name);
  return {
    operationId: name,
    tags: [tag],
    summary,
    security: [{ adminToken: [] }],
    ...(params === undefined ? {} : { params }),
    querystring: query ?? z.strictObject({}),
    ...(body === undefined ? {} : { body }),
    response: { [status]: answer, default: ErrorBody },
  };
}
