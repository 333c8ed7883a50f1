import { z } from "zod";
import { Failure, type FailureCode } from "../../protocol/failures.ts";
import { ManyProblems } from "../core/problem.ts";

/** One thing that is wrong with a request. */
export const Problem = z.object({
  /** `groups.0.leaseMinutes`; empty for the request as a whole. */
  field: z.string(),
  /** What was given, shortened; absent when nothing was. */
  value: z.string().optional(),
  problem: z.string(),
  fix: z.string(),
});
export type Problem = z.infer<typeof Problem>;

/** Every answer that is no success: the words of the failure catalogue. */
export const ErrorBody = z.object({
  code: z.string(),
  message: z.string(),
  hint: z.string(),
  facts: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
  problems: z.array(Problem).optional(),
});
export type ErrorBody = z.infer<typeof ErrorBody>;

/** A request that does not have its schema's shape, with every problem it has. */
export class InvalidRequest extends ManyProblems {
  constructor(problems: readonly Problem[]) {
    const field = problems[0]?.field ?? "";
    super("admin.invalid", problems, field === "" ? {} : { field });
  }
}

export function errorBody(failure: Failure): ErrorBody {
  return {
    code: failure.code,
    message: failure.message,
    hint: failure.hint,
    facts: { ...failure.facts },
    ...(failure instanceof ManyProblems ? { problems: [...failure.problems] } : {}),
  };
}

/** The HTTP status of a failure. What is not listed is not expected here and counts as our own defect. */
export function statusOf(code: FailureCode): number {
  return statuses[code] ?? statuses[code.slice(0, code.indexOf("."))] ?? 500;
}

const statuses: Readonly<Record<string, number>> = {
  "admin.unauthorised": 401,
  "admin.invalid": 400,
  "admin.not-json": 400,
  "admin.not-found": 404,
  "admin.method": 405,
  "admin.conflict": 409,
  "admin.too-large": 413,
  "admin.rate-limited": 429,
  "admin.timeout": 503,
  prefix: 400,
  "prefix.overlap": 409,
  pool: 400,
  store: 503,
  link: 503,
};

/** The failure that an error thrown by Fastify or by our own code stands for. */
export function failureOf(error: unknown): Failure {
  if (error instanceof Failure) return error;
  const { code = "", statusCode = 500 } = error as { code?: string; statusCode?: number };
  if (code === "FST_ERR_CTP_BODY_TOO_LARGE") return new Failure("admin.too-large", {}, error);
  if (code === "FST_ERR_HANDLER_TIMEOUT" || statusCode === 408)
    return new Failure("admin.timeout", {}, error);
  if (code.startsWith("FST_ERR_CTP_") || (error instanceof SyntaxError && statusCode === 400)) {
    return new Failure("admin.not-json", {}, error);
  }
  if (statusCode >= 400 && statusCode < 500) {
    return new Failure("admin.invalid", { problem: String((error as Error).message).slice(0, 128) }, error);
  }
  return new Failure("internal", {}, error);
}
