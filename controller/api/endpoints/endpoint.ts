import { z } from "zod";
import { Id } from "../../../protocol/names.ts";
import { pageLimits } from "../../core/views.ts";

/** One way to ask the controller, as data. */
export interface Endpoint {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** `:name` parts are parameters, percent-encoded in a URL. */
  readonly path: `/v1/${string}`;
  readonly tag: string;
  readonly summary: string;
  readonly params?: z.ZodObject;
  readonly query?: z.ZodObject;
  readonly body?: z.ZodType;
  readonly status: 200 | 201;
  readonly answer: z.ZodType;
}

/** A list, or one page of it. `next` is what `after` (audit: `before`) must be for the next page, null at the end. */
export const listOf = <Item extends z.ZodType>(item: Item) =>
  z.object({ items: z.array(item), next: z.string().nullable() });

export const limit = z.coerce.number().int().min(1).max(pageLimits.max).default(pageLimits.byDefault);
export const page = { limit, after: Id.optional() };
