import { z } from "zod";
import { Id, Name } from "../../../protocol/names.ts";
import { InstancePools, LifeMinutes } from "../../core/admin.ts";
import { InstanceView, OtpCreated, OtpView } from "../../core/views.ts";
import { strict } from "../strict.ts";
import { type Endpoint, listOf } from "./endpoint.ts";

const connector = z.strictObject({ connector: Name });
const instance = z.strictObject({ instance: Name });
const otp = z.strictObject({ otp: Id });

export const instanceEndpoints = {
  "otp.list": {
    method: "GET",
    path: "/v1/otps",
    tag: "One-time passwords",
    summary: "List the one-time passwords and what became of them; never the secrets",
    query: z.strictObject({ connector: Name.optional() }),
    status: 200,
    answer: listOf(OtpView),
  },
  "otp.create": {
    method: "POST",
    path: "/v1/connectors/:connector/otps",
    tag: "One-time passwords",
    summary: "Create a one-time password for one instance; this answer alone holds the secret",
    params: connector,
    body: z.strictObject({ lifeMinutes: LifeMinutes }),
    status: 201,
    answer: OtpCreated,
  },
  "otp.revoke": {
    method: "DELETE",
    path: "/v1/otps/:otp",
    tag: "One-time passwords",
    summary: "Revoke a one-time password",
    params: otp,
    status: 200,
    answer: OtpView,
  },
  "instance.list": {
    method: "GET",
    path: "/v1/instances",
    tag: "Instances",
    summary: "List the instances of a connector, or of all",
    query: z.strictObject({ connector: Name.optional() }),
    status: 200,
    answer: listOf(InstanceView),
  },
  "instance.show": {
    method: "GET",
    path: "/v1/instances/:instance",
    tag: "Instances",
    summary: "Show an instance with its conditions, pools and prefixes",
    params: instance,
    status: 200,
    answer: InstanceView,
  },
  "instance.pools.set": {
    method: "PUT",
    path: "/v1/instances/:instance/pools",
    tag: "Instances",
    summary: "Set all IP pools of an instance; a pool that is not named has no range",
    params: instance,
    body: strict(InstancePools),
    status: 200,
    answer: InstanceView,
  },
  "instance.drain": {
    method: "POST",
    path: "/v1/instances/:instance/drain",
    tag: "Instances",
    summary: "Let an instance take no new sessions",
    params: instance,
    status: 200,
    answer: InstanceView,
  },
  "instance.resume": {
    method: "POST",
    path: "/v1/instances/:instance/resume",
    tag: "Instances",
    summary: "End the drain that an administrator asked for",
    params: instance,
    status: 200,
    answer: InstanceView,
  },
  "instance.remove": {
    method: "DELETE",
    path: "/v1/instances/:instance",
    tag: "Instances",
    summary: "Forget an instance and its identity; its sessions are placed elsewhere",
    params: instance,
    status: 200,
    answer: InstanceView,
  },
} as const satisfies Record<string, Endpoint>;
