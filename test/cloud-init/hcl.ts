import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

// Not by `import`: their types bring those of a browser, which are not ours.
const require = createRequire(import.meta.url);

/** Terraform's own parser, as JSON. */
export const { parse } = require("@cdktf/hcl2json") as {
  parse(name: string, text: string): Promise<Readonly<Record<string, unknown>>>;
};

/** What `terraform fmt` and `packer fmt` make of it: HashiCorp's own formatter. Text that is no HCL comes back as it is. */
export const { format } = require("@cdktf/hcl-tools") as { format(text: string): Promise<string> };

type Blocks = Readonly<Record<string, unknown>>;

/** A module as Terraform's own parser reads it, as far as tests ask. */
export interface Module {
  readonly texts: ReadonlyMap<string, string>;
  /** Addresses of what is there: `var.x`, `local.x`, `data.type.name`, `type.name`, `output.x`. */
  readonly declared: ReadonlySet<string>;
  /** The same of what is referred to. */
  readonly used: ReadonlySet<string>;
  /** What is read of resources and data sources: `aws_vpc.x.id`. */
  readonly read: ReadonlySet<string>;
  /** The body of a block by its address. */
  readonly bodies: ReadonlyMap<string, Blocks>;
}

/** Rejects with file and line where the text is no HCL. */
export async function readModule(folder: string): Promise<Module> {
  const names = readdirSync(folder).filter((name) => name.endsWith(".tf"));
  const texts = new Map(names.map((name) => [name, readFileSync(join(folder, name), "utf8")]));
  const bodies = new Map<string, Blocks>();
  for (const [name, text] of texts) collect(await parse(name, text), bodies);
  const read = [...texts.values()].flatMap((text) => referencesIn(text));
  const used = read.map((reference) =>
    reference
      .split(".")
      .slice(0, reference.startsWith("data.") ? 3 : 2)
      .join("."),
  );
  return { texts, declared: new Set(bodies.keys()), used: new Set(used), read: new Set(read), bodies };
}

function collect(file: Blocks, bodies: Map<string, Blocks>): void {
  const add = (address: string, body: unknown) => {
    if (bodies.has(address)) throw new Error(`${address} is declared twice`);
    bodies.set(
      address,
      (Array.isArray(body) ? (body.length === 1 ? body[0] : { body }) : { body }) as Blocks,
    );
  };
  const each = (blocks: unknown) => Object.entries((blocks ?? {}) as Blocks);
  for (const [name, body] of each(file.variable)) add(`var.${name}`, body);
  for (const [name, body] of each(file.output)) add(`output.${name}`, body);
  for (const locals of (file.locals ?? []) as Blocks[]) {
    for (const [name, value] of Object.entries(locals)) add(`local.${name}`, value);
  }
  for (const [type, named] of each(file.data))
    for (const [name, body] of each(named)) add(`data.${type}.${name}`, body);
  for (const [type, named] of each(file.resource))
    for (const [name, body] of each(named)) add(`${type}.${name}`, body);
}

/** From the text without comments and without what is quoted, but for what quotes interpolate. */
function referencesIn(text: string): string[] {
  const code = text.replace(/^\s*#.*$/gm, "").replace(/"(?:[^"\\]|\\.)*"/g, (quoted) => interpolated(quoted));
  const found = code.matchAll(
    /(?<![\w.])((?:data\.\w+\.\w+|(?:var|local|aws_\w+)\.\w+)(?:\[\w+\])?(?:\.\w+)?)/g,
  );
  return [...found].map(([, address = ""]) => address.replace(/\[\w+\]/, ""));
}

function interpolated(quoted: string): string {
  return [...quoted.matchAll(/\$\{([^}]*)\}/g)].map(([, code]) => code).join(" ");
}
