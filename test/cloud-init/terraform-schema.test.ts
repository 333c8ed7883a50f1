import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { readModule } from "./hcl.ts";
import { misfits, readSchemas, type Schemas, typeOf } from "./provider-schema.ts";

/** `terraform validate` as far as names go: by the schemas of the providers, without Terraform. */
const module = await readModule(join(import.meta.dirname, "..", "..", "cloud-init", "terraform"));
const versions = readSchemas();
const resources = [...module.bodies].filter(([address]) => typeOf(address) !== undefined);

test("every resource is looked at, also with the oldest version of its provider that is said to do", () => {
  const lookedAt = new Set([...versions.values()].flatMap((schemas) => Object.keys(schemas)));
  expect(resources.length).toBeGreaterThan(25);
  expect(resources.filter(([address]) => !lookedAt.has(typeOf(address) ?? ""))).toEqual([]);
  const [, oldest] =
    /source {2}= "hashicorp\/aws"\s+version = ">= ([\d.]+)/.exec(module.texts.get("versions.tf") ?? "") ?? [];
  expect([...versions.keys()]).toContain(`aws-${oldest}.0`);
});

describe.each([...versions])("%s", (_version, schemas) => {
  const own = resources.filter(([address]) => schemaOf(schemas, address) !== undefined);

  test.each(own)("%s gives it what it takes, and all that it needs", (address, body) => {
    expect(misfits(body, schemaOf(schemas, address)?.arguments ?? {}, address)).toEqual([]);
  });

  test("it has what is read of it", () => {
    const wrong = [...module.read].filter((reference) => {
      const [, address = "", attribute = ""] = /^(.+)\.(\w+)$/.exec(reference) ?? [];
      return schemaOf(schemas, address)?.attributes.includes(attribute) === false;
    });
    expect(wrong).toEqual([]);
  });
});

test("what a provider would refuse is seen", () => {
  const takes = { name: { required: true }, hook: { block: { time: { required: true } } } } as const;
  expect(misfits({ nme: "x", hook: [{ tme: 1 }] }, takes, "a.b")).toEqual([
    "a.b lacks name",
    "a.b takes no nme",
    "a.b.hook lacks time",
    "a.b.hook takes no tme",
  ]);
  const dynamic = { hook: [{ for_each: [1], content: [{ time: 1, more: 2 }] }] };
  expect(misfits({ name: "x", dynamic }, takes, "a.b")).toEqual(["a.b.hook takes no more"]);
  expect(misfits({ name: "x", hook: "none" }, takes, "a.b")).toEqual(["a.b.hook is no block"]);
  expect([...module.read]).toContain("aws_lambda_function.hook.arn");
});

function schemaOf(schemas: Schemas, address: string) {
  return schemas[typeOf(address) ?? ""];
}
