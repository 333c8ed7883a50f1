import type { z } from "zod";
import { nearest } from "../../protocol/nearest.ts";
import { InvalidRequest, type Problem } from "./problem.ts";
import { fieldsAt } from "./strict.ts";

/** A request names everything that is wrong with it, but a hostile one is not answered at length. */
const problemsMax = 32;
const valueCharactersMax = 64;

type Issue = z.core.$ZodIssue;

/** Fastify's validator: parses a part of a request with its zod schema, or tells every problem it has. */
export function validatorCompiler({ schema }: { schema: z.ZodType }) {
  return (data: unknown) => {
    const parsed = schema.safeParse(data);
    if (parsed.success) return { value: parsed.data };
    return { error: new InvalidRequest(problemsOf(schema, parsed.error, data)) };
  };
}

/** What is wrong with the data, in the words of an operator: every field, what was given, and what to give. */
export function problemsOf(schema: z.ZodType, error: z.core.$ZodError, data: unknown): Problem[] {
  return error.issues.flatMap((issue) => problemsOfIssue(schema, issue, data, [])).slice(0, problemsMax);
}

function problemsOfIssue(
  schema: z.ZodType,
  issue: Issue,
  data: unknown,
  above: readonly PropertyKey[],
): Problem[] {
  const path = [...above, ...issue.path];
  const given = valueAt(data, path);
  const at = { field: path.map(String).join("."), ...(given === undefined ? {} : { value: shown(given) }) };
  switch (issue.code) {
    case "unrecognized_keys": {
      const known = fieldsAt(schema, path);
      return issue.keys.map((key) => ({
        field: [...path, key].map(String).join("."),
        value: shown(valueAt(data, [...path, key])),
        problem: "is not a field",
        fix: unknownFix(key, known),
      }));
    }
    case "invalid_type":
      if (given === undefined)
        return [{ ...at, problem: "is missing", fix: `Give ${article(issue.expected)}.` }];
      return [{ ...at, problem: `is ${kindOf(given)}`, fix: `Give ${article(issue.expected)}.` }];
    case "invalid_value":
      return [
        { ...at, problem: given === undefined ? "is missing" : "is not allowed", fix: oneOf(issue, given) },
      ];
    case "too_small":
      return [
        {
          ...at,
          problem: "is too small or too short",
          fix: `Give ${bound("at least", issue.minimum, issue.origin)}.`,
        },
      ];
    case "too_big":
      return [
        {
          ...at,
          problem: "is too large or too long",
          fix: `Give ${bound("at most", issue.maximum, issue.origin)}.`,
        },
      ];
    case "invalid_union":
      return problemsOfUnion(schema, issue, data, path, at);
    case "invalid_key":
      return [
        { ...at, problem: "is not a name that can be used", fix: sentence(issue.issues[0]?.message ?? "") },
      ];
    case "invalid_element":
      return issue.issues.flatMap((inner) => problemsOfIssue(schema, inner, data, path));
    case "invalid_format":
      return [{ ...at, problem: "has the wrong form", fix: formatFix(issue) }];
    case "not_multiple_of":
    case "custom":
      return [{ ...at, problem: "does not fit", fix: sentence(issue.message) }];
  }
}

/** Of a union, the problems of the alternative that was probably meant: the one with the fewest. */
function problemsOfUnion(
  schema: z.ZodType,
  issue: Extract<Issue, { code: "invalid_union" }>,
  data: unknown,
  path: readonly PropertyKey[],
  at: { field: string; value?: string },
): Problem[] {
  const alternatives = issue.errors.map((issues) =>
    issues.flatMap((inner) => problemsOfIssue(schema, inner as Issue, data, path)),
  );
  const [best] = alternatives.toSorted((a, b) => a.length - b.length);
  if (best !== undefined && best.length > 0) return best;
  return [{ ...at, problem: "is not one of the forms allowed here", fix: "See /openapi.json." }];
}

function unknownFix(key: string, known: readonly string[]): string {
  const meant = nearest(key, known);
  if (meant !== undefined) return `Did you mean ${meant}?`;
  return known.length === 0 ? "Leave it out." : `Leave it out. The fields are ${known.join(", ")}.`;
}

function oneOf(issue: Extract<Issue, { code: "invalid_value" }>, given: unknown): string {
  const values = issue.values.map(String);
  const meant = typeof given === "string" ? nearest(given, values) : undefined;
  if (meant !== undefined) return `Did you mean ${meant}?`;
  return values.length === 1 ? `Give ${values[0]}.` : `Give one of ${values.join(", ")}.`;
}

function bound(which: string, count: number | bigint, origin: string): string {
  const plural = count === 1 || count === 1n ? 0 : 1;
  if (origin === "string") return `${which} ${count} ${["character", "characters"][plural]}`;
  if (origin === "array") return `${which} ${count} ${["entry", "entries"][plural]}`;
  return `${which} ${count}`;
}

function formatFix(issue: Extract<Issue, { code: "invalid_format" }>): string {
  if (issue.format === "uuid") return "Give an id as the lists show it.";
  return sentence(issue.message);
}

const articles: Readonly<Record<string, string>> = {
  string: "a text",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  object: "an object",
  record: "an object",
  array: "a list",
};

function article(kind: string): string {
  return articles[kind] ?? kind;
}

function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "a list";
  if (Number.isNaN(value)) return "no number";
  return article(typeof value);
}

function sentence(text: string): string {
  return `${text.slice(0, 1).toUpperCase()}${text.slice(1)}${text.endsWith(".") ? "" : "."}`;
}

/** Objects and lists are named, not printed: a value may be nested more deeply than printing can follow. */
function shown(value: unknown): string {
  if (typeof value === "object" && value !== null) return kindOf(value);
  const text = String(value);
  return text.length > valueCharactersMax ? `${text.slice(0, valueCharactersMax)}…` : text;
}

function valueAt(data: unknown, path: readonly PropertyKey[]): unknown {
  let value = data;
  for (const key of path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return undefined;
    value = (value as Record<PropertyKey, unknown>)[key];
  }
  return value;
}
