import { z } from "zod";
import { Name } from "../../../protocol/names.ts";
import { ResourceSpec } from "../../../protocol/specs.ts";
import { ConnectorChange, ConnectorInput, commands } from "../../core/admin.ts";
import { RestartView } from "../../core/restart-views.ts";
import { ConnectorView, GroupView } from "../../core/views.ts";
import { strict } from "../strict.ts";
import { type Endpoint, listOf } from "./endpoint.ts";

const connector = z.strictObject({ connector: Name });
const resource = z.strictObject({ connector: Name, resource: Name });
const group = z.strictObject({ group: Name });

export const connectorEndpoints = {
  "connector.list": {
    method: "GET",
    path: "/v1/connectors",
    tag: "Connectors",
    summary: "List the connectors",
    status: 200,
    answer: listOf(ConnectorView),
  },
  "connector.create": {
    method: "POST",
    path: "/v1/connectors",
    tag: "Connectors",
    summary: "Create a connector",
    body: strict(ConnectorInput),
    status: 201,
    answer: ConnectorView,
  },
  "connector.show": {
    method: "GET",
    path: "/v1/connectors/:connector",
    tag: "Connectors",
    summary: "Show a connector",
    params: connector,
    status: 200,
    answer: ConnectorView,
  },
  "connector.update": {
    method: "PATCH",
    path: "/v1/connectors/:connector",
    tag: "Connectors",
    summary: "Change the named fields of a connector; lists are replaced whole",
    params: connector,
    body: strict(ConnectorChange),
    status: 200,
    answer: ConnectorView,
  },
  "connector.remove": {
    method: "DELETE",
    path: "/v1/connectors/:connector",
    tag: "Connectors",
    summary: "Delete a connector that has no instances; its OTPs end with it",
    params: connector,
    status: 200,
    answer: ConnectorView,
  },
  "connector.failover": {
    method: "POST",
    path: "/v1/connectors/:connector/failover",
    tag: "Connectors",
    summary: "Active-standby: let the other instance carry, or the named one, and bring all sessions to it",
    params: connector,
    body: z.strictObject({ to: Name.optional() }),
    status: 200,
    answer: ConnectorView,
  },
  "connector.restart": {
    method: "POST",
    path: "/v1/connectors/:connector/restart",
    tag: "Connectors",
    summary: "Restart the agents of all instances, one at a time, each emptied before",
    params: connector,
    body: z.strictObject({ minActive: commands["connector.restart"].shape.minActive }),
    status: 201,
    answer: RestartView,
  },
  "connector.restart.show": {
    method: "GET",
    path: "/v1/connectors/:connector/restart",
    tag: "Connectors",
    summary: "Show how far the rolling restart is, or how the last one ended",
    params: connector,
    status: 200,
    answer: RestartView,
  },
  "connector.restart.cancel": {
    method: "DELETE",
    path: "/v1/connectors/:connector/restart",
    tag: "Connectors",
    summary: "Cancel the rolling restart; instances whose turn has not come stay untouched",
    params: connector,
    status: 200,
    answer: RestartView,
  },
  "resource.list": {
    method: "GET",
    path: "/v1/connectors/:connector/resources",
    tag: "Enterprise resources",
    summary: "List the enterprise resources of a connector",
    params: connector,
    status: 200,
    answer: listOf(ResourceSpec),
  },
  "resource.set": {
    method: "PUT",
    path: "/v1/connectors/:connector/resources/:resource",
    tag: "Enterprise resources",
    summary: "Add an enterprise resource, or replace the one of that name",
    params: resource,
    body: strict(ResourceSpec),
    status: 200,
    answer: ConnectorView,
  },
  "resource.remove": {
    method: "DELETE",
    path: "/v1/connectors/:connector/resources/:resource",
    tag: "Enterprise resources",
    summary: "Remove an enterprise resource",
    params: resource,
    status: 200,
    answer: ConnectorView,
  },
  "group.list": {
    method: "GET",
    path: "/v1/device-user-groups",
    tag: "Device-User-Groups",
    summary: "List the Device-User-Groups",
    status: 200,
    answer: listOf(GroupView),
  },
  "group.create": {
    method: "POST",
    path: "/v1/device-user-groups",
    tag: "Device-User-Groups",
    summary: "Create a Device-User-Group",
    body: group,
    status: 201,
    answer: GroupView,
  },
  "group.remove": {
    method: "DELETE",
    path: "/v1/device-user-groups/:group",
    tag: "Device-User-Groups",
    summary: "Delete a Device-User-Group that nothing uses",
    params: group,
    status: 200,
    answer: GroupView,
  },
} as const satisfies Record<string, Endpoint>;
