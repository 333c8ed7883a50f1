import { z } from "zod";
import { Id, Name } from "../../../protocol/names.ts";
import { LifeMinutes } from "../../core/admin.ts";
import {
  DeviceCodeCreated,
  DeviceCodeView,
  DeviceView,
  SessionState,
  SessionView,
} from "../../core/views.ts";
import { type Endpoint, listOf, page } from "./endpoint.ts";

const deviceCode = z.strictObject({ deviceCode: Id });
const device = z.strictObject({ device: Id });
const session = z.strictObject({ session: Id });

export const deviceEndpoints = {
  "deviceCode.list": {
    method: "GET",
    path: "/v1/device-codes",
    tag: "Devices",
    summary: "List the join codes and what became of them; never the secrets",
    status: 200,
    answer: listOf(DeviceCodeView),
  },
  "deviceCode.create": {
    method: "POST",
    path: "/v1/device-codes",
    tag: "Devices",
    summary: "Create a join code for one device of a user; this answer alone holds the secret",
    body: z.strictObject({ user: Name, group: Name, lifeMinutes: LifeMinutes }),
    status: 201,
    answer: DeviceCodeCreated,
  },
  "deviceCode.revoke": {
    method: "DELETE",
    path: "/v1/device-codes/:deviceCode",
    tag: "Devices",
    summary: "Revoke a join code",
    params: deviceCode,
    status: 200,
    answer: DeviceCodeView,
  },
  "device.list": {
    method: "GET",
    path: "/v1/devices",
    tag: "Devices",
    summary: "List the devices",
    query: z.strictObject(page),
    status: 200,
    answer: listOf(DeviceView),
  },
  "device.show": {
    method: "GET",
    path: "/v1/devices/:device",
    tag: "Devices",
    summary: "Show a device",
    params: device,
    status: 200,
    answer: DeviceView,
  },
  "device.remove": {
    method: "DELETE",
    path: "/v1/devices/:device",
    tag: "Devices",
    summary: "Forget a device and its identity; its session ends",
    params: device,
    status: 200,
    answer: DeviceView,
  },
  "session.list": {
    method: "GET",
    path: "/v1/sessions",
    tag: "Sessions",
    summary: "List the sessions of an instance, or of all; with state waiting those that have no place",
    query: z.strictObject({ instance: Name.optional(), state: SessionState.optional(), ...page }),
    status: 200,
    answer: listOf(SessionView),
  },
  "session.show": {
    method: "GET",
    path: "/v1/sessions/:session",
    tag: "Sessions",
    summary: "Show a session",
    params: session,
    status: 200,
    answer: SessionView,
  },
  "session.end": {
    method: "DELETE",
    path: "/v1/sessions/:session",
    tag: "Sessions",
    summary: "End a session; a device that still wants to be attached gets a new one",
    params: session,
    status: 200,
    answer: SessionView,
  },
} as const satisfies Record<string, Endpoint>;
