import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parse as parseYaml } from "yaml";
import { readParameters } from "../../agent/core/parameters.ts";
import { userDataText } from "../../controller/cli/user-data.ts";
import { expectValid, hasCloudInit, rendered } from "./cloud-init.ts";
import { format, parse, readModule } from "./hcl.ts";

/** `terraform fmt`, and what of `terraform validate` can be had without Terraform and without its providers' schemas. */
const folder = join(import.meta.dirname, "..", "..", "cloud-init", "terraform");
const module = await readModule(folder);
const readme = readFileSync(join(folder, "README.md"), "utf8");

const isOf = (address: string, ...kinds: string[]) => kinds.some((kind) => address.startsWith(`${kind}.`));

test("what is no HCL is named with its line", async () => {
  await expect(parse("x.tf", 'resource "a" "b" {\n  c =\n}\n')).rejects.toThrow(/x\.tf:2,6/);
});

test("whatever is referred to is declared, and no variable, local or data source is there for nothing", () => {
  const local = [...module.used].filter((address) => !address.startsWith("each."));
  expect(local.length).toBeGreaterThan(50);
  expect(local.filter((address) => !module.declared.has(address))).toEqual([]);
  const forSomething = [...module.declared].filter((address) => isOf(address, "var", "local", "data"));
  expect(forSomething.filter((address) => !module.used.has(address))).toEqual([]);
});

test("every variable has a type and a description, every output a description", () => {
  const bare = [...module.bodies]
    .filter(([address]) => isOf(address, "var", "output"))
    .filter(([address, body]) => !("description" in body) || (isOf(address, "var") && !("type" in body)));
  expect(bare).toEqual([]);
});

test("the README has each variable and each output", () => {
  const named = [...module.declared].filter((address) => isOf(address, "var", "output"));
  const missing = named.filter((address) => !readme.includes(`\`${address.replace(/^\w+\./, "")}\``));
  expect(missing).toEqual([]);
});

test("the README's example gives what has no default, and nothing that is not asked for", async () => {
  const [, example = ""] = /```hcl\n([\s\S]*?)```/.exec(readme) ?? [];
  const { module: modules } = (await parse("README.md", example)) as {
    module: Record<string, [Readonly<Record<string, unknown>>]>;
  };
  const given = Object.keys(modules.connector?.[0] ?? {}).filter((name) => name !== "source");
  expect(given.filter((name) => !module.declared.has(`var.${name}`))).toEqual([]);
  const needed = [...module.bodies].filter(([address, body]) => isOf(address, "var") && !("default" in body));
  expect(needed.map(([address]) => address.slice(4)).filter((name) => !given.includes(name))).toEqual([]);
  expect(await format(example)).toBe(example);
});

const packer = "../packer/connector.pkr.hcl";
test.each([...module.texts, [packer, readFileSync(join(folder, packer), "utf8")]])(
  "%s is formatted",
  async (_name, text) => {
    expect(await format(text)).toBe(text);
  },
);

test("the formatter is at work", async () => {
  expect(await format('a "b" {\n   c=1\n  long = 2\n}\n')).toBe('a "b" {\n  c    = 1\n  long = 2\n}\n');
});

const body = (address: string): Readonly<Record<string, unknown>> => module.bodies.get(address) ?? {};

test("what keeps an instance safe is as it must be", () => {
  const template = body("aws_launch_template.instance");
  expect(template.metadata_options).toEqual([
    { http_endpoint: "enabled", http_tokens: "required", http_put_response_hop_limit: 1 },
  ]);
  // Off, AWS would not drop what users send with addresses of others.
  expect([...module.texts.values()].join()).not.toContain("source_dest_check");
  const hooks = [
    body("aws_autoscaling_group.connector").initial_lifecycle_hook,
    body("aws_autoscaling_lifecycle_hook.terminate"),
  ];
  expect(hooks).toMatchObject([
    [{ lifecycle_transition: "autoscaling:EC2_INSTANCE_LAUNCHING", default_result: "ABANDON" }],
    { lifecycle_transition: "autoscaling:EC2_INSTANCE_TERMINATING", default_result: "CONTINUE" },
  ]);
});

test("roles may do what their programs do, on what is theirs", () => {
  const actionsOf = (address: string) =>
    ((body(address).statement ?? []) as { actions: string[]; resources: string[] }[]).flatMap(
      ({ actions, resources }) => actions.map((action) => `${action} ${resources.join(" ")}`),
    );
  const instance = actionsOf("data.aws_iam_policy_document.instance");
  const hook = actionsOf("data.aws_iam_policy_document.hook");
  expect(instance.map((line) => line.split(" ")[0])).toEqual(["ssm:GetParameter"]);
  expect(hook.map((line) => line.split(" ")[0])).toEqual([
    "secretsmanager:GetSecretValue",
    "ssm:PutParameter",
    "ssm:DeleteParameter",
    "autoscaling:CompleteLifecycleAction",
    "logs:CreateLogStream",
    "logs:PutLogEvents",
  ]);
  expect([...instance, ...hook].filter((line) => line.endsWith(" *"))).toEqual([]);
});

test("the function's settings are those that it reads", () => {
  const environment = body("aws_lambda_function.hook").environment as [{ variables: object }];
  const code = ["index.mjs", "controller.mjs"]
    .map((name) => readFileSync(join(folder, "hook", name), "utf8"))
    .join("");
  const [{ variables }] = environment;
  expect(Object.keys(variables).filter((name) => !new RegExp(`\\b${name}\\b`).test(code))).toEqual([]);
});

const values = { controller: "https://c.example.com:8443", connector: "prod", wireguard_port: "51820" };
const ca = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----";

test("the user-data is what `connector-controller user-data` prints, and the port", () => {
  const otp = { is: "elsewhere", reference: "ssm:/connector/prod/{instance-id}" } as const;
  for (const pem of [undefined, ca]) {
    const expected = userDataText({
      controller: values.controller,
      address: undefined,
      publicAddress: undefined,
      otp,
      ca: pem && `${pem}\n`,
    });
    const text = userData({ ca: pem ?? "", public_address: "" });
    expect(text.replace(/^ *wireguardPort: 51820\n/m, "")).toBe(expected.ok && expected.value);
  }
});

test.skipIf(!hasCloudInit).for([
  { ca: "", public_address: "" },
  { ca, public_address: "true" },
])("cloud-init's schema and the agent's reader take it: %o", (over) => {
  const text = rendered(userData(over));
  expectValid(text);
  const { write_files: files } = parseYaml(text) as { write_files: { path: string; content: string }[] };
  const parameters = files.find(({ path }) => path === "/run/connector-boot/enroll.yaml")?.content ?? "";
  expect(readParameters(parseYaml(parameters), {})).toMatchObject({
    ok: true,
    value: {
      gateway: "172.18.128.1",
      publicAddress: over.public_address === "" ? "172.18.139.4" : "198.51.100.4",
      caFile: over.ca === "" ? undefined : "/etc/connector/ca.pem",
    },
  });
});

/** Terraform's templates, as far as this one uses them: https://developer.hashicorp.com/terraform/language/expressions/strings */
function userData(over: Readonly<Record<"ca" | "public_address", string>>): string {
  const given: Readonly<Record<string, string>> = {
    ...values,
    ...over,
    ca: over.ca.replaceAll("\n", "\n      "),
  };
  const text = readFileSync(join(folder, "user-data.tftpl"), "utf8")
    .replace(/%\{ if (\w+)(?: != "")? \}([\s\S]*?)%\{ endif \}/g, (_, name: string, inner: string) =>
      given[name] === "" ? "" : inner,
    )
    .replace(/\$\{(\w+)\}/g, (_, name: string) => given[name] ?? `no ${name}`);
  expect(text).not.toMatch(/[$%]\{/);
  return text;
}
