import type { z } from "zod";
import { accessEndpoints } from "./endpoints/access.ts";
import { connectorEndpoints } from "./endpoints/connectors.ts";
import { deviceEndpoints } from "./endpoints/devices.ts";
import type { Endpoint } from "./endpoints/endpoint.ts";
import { instanceEndpoints } from "./endpoints/instances.ts";

/**
 * The admin API as data: every path with its schemas. The server makes its routes and the OpenAPI text of it, the
 * command line its calls, so the three cannot disagree.
 */
export const endpoints = {
  ...connectorEndpoints,
  ...instanceEndpoints,
  ...deviceEndpoints,
  ...accessEndpoints,
} as const;

export type EndpointName = keyof typeof endpoints;

export const endpointNames = Object.keys(endpoints) as EndpointName[];

export function endpointOf(name: EndpointName): Endpoint {
  return endpoints[name];
}

type Part = "params" | "query" | "body";
type Has<
  Name extends EndpointName,
  P extends Part,
  IO extends "input" | "output",
> = (typeof endpoints)[Name] extends { readonly [_ in P]: infer Schema extends z.ZodType }
  ? { readonly [_ in P]: IO extends "input" ? z.input<Schema> : z.output<Schema> }
  : unknown;
type Parts<Name extends EndpointName, IO extends "input" | "output"> = Has<Name, "params", IO> &
  Has<Name, "query", IO> &
  Has<Name, "body", IO>;

/** What a client gives (defaults may be left out), and what the server gets of it (defaults filled in). */
export type Asked<Name extends EndpointName> = Parts<Name, "input">;
export type Received<Name extends EndpointName> = Parts<Name, "output">;
export type Answer<Name extends EndpointName> = z.output<(typeof endpoints)[Name]["answer"]>;
