/**
 * Makes what is in provider-schemas/ anew, by hand, where the module uses other types or asks for other versions:
 * `npm pack @cdktf/provider-aws@…`, unpack it, and name its folder. These packages are made of the schemas of Terraform's
 * providers, which nothing else that npm carries has, and too large to install for a test. 19.9.0 is of version 5.40.0, the
 * oldest that the module takes; 21.22.1 of 6.25.0. The other provider: `@cdktf/provider-archive`.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readModule } from "./hcl.ts";
import { type Arguments, schemasFolder, type TypeSchema, typeOf } from "./provider-schema.ts";

const { declared } = await readModule(join(import.meta.dirname, "..", "..", "cloud-init", "terraform"));
const types = [...new Set([...declared].flatMap((address) => typeOf(address) ?? []))].toSorted();
mkdirSync(schemasFolder, { recursive: true });
for (const folder of process.argv.slice(2)) {
  const readme = read(folder, "README.md");
  const [, name = "", version = ""] = /hashicorp\/(\w+) provider version (\S+)/.exec(readme) ?? [];
  const own = types.filter((type) => type.replace("data.", "").startsWith(`${name}_`));
  const schemas = Object.fromEntries(own.map((type) => [type, schemaOf(type, folder)]));
  writeFileSync(join(schemasFolder, `${name}-${version}.json`), `${JSON.stringify(schemas, undefined, 2)}\n`);
}
// The Go program that reads HCL would keep this one running.
process.exit();

function schemaOf(type: string, folder: string): TypeSchema {
  const name = type.replace("data.", "data_").replace(/^aws_/, "").replaceAll("_", "-");
  const declarations = read(folder, `lib/${name}/index.d.ts`);
  const interfaces = new Map(
    [...declarations.matchAll(/^export interface (\w+)[^{]*\{\n([\s\S]*?)^\}/gm)].map(
      ([, of = "", body = ""]) => [of, body] as const,
    ),
  );
  const [, config = ""] =
    /^export interface (\w+) extends cdktf\.TerraformMetaArguments/m.exec(declarations) ?? [];
  const code = read(folder, `lib/${name}/index.js`);
  const [, own = ""] =
    /^class \w+ extends cdktf\.Terraform(?:Resource|DataSource) \{\n([\s\S]*?)^\}/m.exec(code) ?? [];
  const attributes = [...own.matchAll(/(?:Attribute\(|\(this, )["'](\w+)["']/g)].map(([, of = ""]) => of);
  return { arguments: argumentsOf(config, interfaces), attributes: [...new Set(attributes)] };
}

function argumentsOf(name: string, interfaces: ReadonlyMap<string, string>): Arguments {
  const properties = (interfaces.get(name) ?? "").matchAll(
    /#(\w+) \w+#\w+\}[\s\S]*?^ {4}readonly \w+(\??): ([^;[]+)/gm,
  );
  return Object.fromEntries(
    [...properties].map(([, argument = "", optional, type = ""]) => [
      argument,
      {
        ...(optional === "" ? { required: true } : {}),
        ...(interfaces.has(type.trim()) ? { block: argumentsOf(type.trim(), interfaces) } : {}),
      },
    ]),
  );
}

function read(folder: string, path: string): string {
  return readFileSync(join(folder, path), "utf8");
}
