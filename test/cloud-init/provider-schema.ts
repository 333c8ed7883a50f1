import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** What one type of resource or data source takes and has, by its provider. */
export interface TypeSchema {
  readonly arguments: Arguments;
  /** What can be read of it, arguments included. */
  readonly attributes: readonly string[];
}

/** Whether an argument must be there; of a block also what it takes itself. */
export type Arguments = Readonly<Record<string, { readonly required?: true; readonly block?: Arguments }>>;

/** By type, each: what a version of a provider takes. */
export const schemasFolder = join(import.meta.dirname, "provider-schemas");

export type Schemas = Readonly<Record<string, TypeSchema>>;

/** Of every version that was looked at, by provider and version: `aws-5.40.0`. */
export function readSchemas(): ReadonlyMap<string, Schemas> {
  return new Map(
    readdirSync(schemasFolder).map((file) => {
      const schemas = JSON.parse(readFileSync(join(schemasFolder, file), "utf8")) as Schemas;
      return [file.replace(/\.json$/, ""), schemas];
    }),
  );
}

/** `data.aws_vpc` of `data.aws_vpc.connector`; undefined for what is no resource and no data source. */
export function typeOf(address: string): string | undefined {
  return /^((?:data\.)?(?:aws|archive)_\w+)\.\w+/.exec(address)?.[1];
}

/** What Terraform takes everywhere. https://developer.hashicorp.com/terraform/language/meta-arguments */
const everywhere = new Set(["count", "depends_on", "for_each", "lifecycle", "provider"]);

/**
 * What of a body, as Terraform's parser gives it, its provider does not take, and what it lacks; each with where it is.
 * Values are not looked at: most are known to Terraform alone.
 */
export function misfits(body: object, takes: Arguments, at: string): string[] {
  const given = new Map<string, unknown[]>(
    Object.entries(body)
      .filter(([name]) => name !== "dynamic")
      .map(([name, value]) => [name, Array.isArray(value) ? value : [value]]),
  );
  const { dynamic = {} } = body as { dynamic?: Readonly<Record<string, readonly { content: unknown[] }[]>> };
  for (const [name, blocks] of Object.entries(dynamic)) {
    given.set(name, [...(given.get(name) ?? []), ...blocks.flatMap(({ content }) => content)]);
  }
  const lacking = Object.entries(takes)
    .filter(([name, { required }]) => required && !given.has(name))
    .map(([name]) => `${at} lacks ${name}`);
  return [
    ...lacking,
    ...[...given].flatMap(([name, values]) => {
      const argument = takes[name];
      if (argument === undefined) return everywhere.has(name) ? [] : [`${at} takes no ${name}`];
      const { block } = argument;
      if (block === undefined) return [];
      return values.flatMap((value) =>
        typeof value === "object" && value !== null
          ? misfits(value, block, `${at}.${name}`)
          : [`${at}.${name} is no block`],
      );
    }),
  ];
}
