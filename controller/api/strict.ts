import { z } from "zod";

/**
 * The schema with unknown fields refused at every depth. Peers may say more than we know, so the schemas of the
 * protocol drop unknown fields; an administrator's typing error must not be dropped in silence.
 */
export function strict<Schema extends z.ZodType>(schema: Schema): Schema {
  // Rebuilt from its own definition with only the object policy changed: input and output types stay.
  return rebuilt(schema) as Schema;
}

/** Names of the fields that may stand at a path of the schema; empty when it is no object with a fixed set of them. */
export function fieldsAt(schema: z.ZodType | undefined, path: readonly PropertyKey[]): string[] {
  if (schema === undefined) return [];
  const inner = unwrapped(schema);
  if (inner instanceof z.ZodUnion) {
    return [...new Set(inner.options.flatMap((option) => fieldsAt(option as z.ZodType, path)))];
  }
  const [first, ...rest] = path;
  if (inner instanceof z.ZodObject) {
    return first === undefined ? Object.keys(inner.shape) : fieldsAt(inner.shape[String(first)], rest);
  }
  if (inner instanceof z.ZodArray) return fieldsAt(inner.element as z.ZodType, rest);
  if (inner instanceof z.ZodRecord) return fieldsAt(inner.valueType as z.ZodType, rest);
  return [];
}

function rebuilt(schema: z.ZodType): z.ZodType {
  if (schema instanceof z.ZodObject) {
    const shape = Object.fromEntries(
      Object.entries(schema.shape).map(([name, field]) => [name, rebuilt(field as z.ZodType)]),
    );
    return schema.clone({ ...schema.def, shape, catchall: z.never() });
  }
  if (schema instanceof z.ZodArray) {
    return schema.clone({ ...schema.def, element: rebuilt(schema.element as z.ZodType) });
  }
  if (schema instanceof z.ZodUnion) {
    return schema.clone({
      ...schema.def,
      options: schema.options.map((option) => rebuilt(option as z.ZodType)),
    });
  }
  if (schema instanceof z.ZodRecord) {
    return schema.clone({ ...schema.def, valueType: rebuilt(schema.valueType as z.ZodType) });
  }
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodNullable) {
    return schema.clone({ ...schema.def, innerType: rebuilt(schema.unwrap() as z.ZodType) } as never);
  }
  if (schema instanceof z.ZodDefault) {
    return schema.clone({ ...schema.def, innerType: rebuilt(schema.unwrap() as z.ZodType) });
  }
  return schema;
}

function unwrapped(schema: z.ZodType): z.ZodType {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodNullable || schema instanceof z.ZodDefault) {
    return unwrapped(schema.unwrap() as z.ZodType);
  }
  return schema;
}
