import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

/** Terraform's own parser, as JSON. Not by `import`: its types bring those of a browser, which are not ours. */
export const { parse } = createRequire(import.meta.url)("@cdktf/hcl2json") as {
  parse(name: string, text: string): Promise<Readonly<Record<string, unknown>>>;
};

type Blocks = Readonly<Record<string, unknown>>;

/** A module as Terraform's own parser reads it, as far as tests ask. */
export interface Module {
  readonly texts: ReadonlyMap<string, string>;
  /** Addresses of what is there: `var.x`, `local.x`, `data.type.name`, `type.name`, `output.x`. */
  readonly declared: ReadonlySet<string>;
  /** The same of what is referred to. */
  readonly used: ReadonlySet<string>;
  /** The body of a block by its address. */
  readonly bodies: ReadonlyMap<string, Blocks>;
}

/** Rejects with file and line where the text is no HCL. */
export async function readModule(folder: string): Promise<Module> {
  const names = readdirSync(folder).filter((name) => name.endsWith(".tf"));
  const texts = new Map(names.map((name) => [name, readFileSync(join(folder, name), "utf8")]));
  const bodies = new Map<string, Blocks>();
  for (const [name, text] of texts) collect(await parse(name, text), bodies);
  const used = new Set([...texts.values()].flatMap((text) => referencesIn(text)));
  return { texts, declared: new Set(bodies.keys()), used, bodies };
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
  const found = code.matchAll(/(?<![\w.])(data\.\w+\.\w+|(?:var|local|aws_\w+|archive_\w+)\.\w+)/g);
  return [...found].map(([, address = ""]) => address);
}

function interpolated(quoted: string): string {
  return [...quoted.matchAll(/\$\{([^}]*)\}/g)].map(([, code]) => code).join(" ");
}

/**
 * What of `terraform fmt` shows without it: two spaces a level, one space around `=` or as many as line up neighbouring
 * attributes, no blank at the end of a line. Answers the lines that are otherwise.
 */
export function misformatted(text: string): string[] {
  const wrong: string[] = [];
  // The line of each bracket that is open. Brackets of one line are one level.
  const open: number[] = [];
  let group: { readonly line: string; readonly at: number; readonly name: number }[] = [];
  const endGroup = () => {
    const column = Math.max(...group.map(({ name }) => name)) + 1;
    wrong.push(...group.filter(({ at }) => at !== column).map(({ line }) => line));
    group = [];
  };
  for (const [number, line] of text.split("\n").entries()) {
    const code = line.replace(/"(?:[^"\\]|\\.)*"/g, ({ length }) => "_".repeat(length)).replace(/#.*/, "");
    const [, closing = "", rest = ""] = /^\s*([)\]}]*)(.*)$/.exec(code) ?? [];
    open.splice(open.length - closing.length);
    const level = new Set(open).size;
    if (line !== "" && line.search(/\S/) !== 2 * level) wrong.push(line);
    if (/\s$|\t/.test(line)) wrong.push(line);
    const before = open.length;
    follow(rest, number, open);
    const [, name, blanks = ""] = /^(\s*[\w-]+)( *)= /.exec(code) ?? [];
    // fmt lines up attributes of one line each that stand together; one that goes on in the next line ends them.
    if (name !== undefined && open.length === before) {
      group.push({ line, at: name.length + blanks.length, name: name.length });
    } else {
      endGroup();
      if (name !== undefined && blanks !== " ") wrong.push(line);
    }
  }
  endGroup();
  return wrong;
}

function follow(code: string, line: number, open: number[]): void {
  for (const bracket of code.match(/[()[\]{}]/g) ?? []) {
    if ("([{".includes(bracket)) open.push(line);
    else open.pop();
  }
}
