import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { readParameters } from "../../agent/core/parameters.ts";
import { expectValid, hasCloudInit, rendered } from "./cloud-init.ts";

const examples = [
  "user-data",
  "user-data-full",
  "user-data-otp-by-reference",
  "user-data-auto-scaling",
] as const;

function example(name: (typeof examples)[number]): string {
  const text = readFileSync(fileURLToPath(new URL(`../../cloud-init/${name}.yaml`, import.meta.url)), "utf8");
  return text.startsWith("## template: jinja") ? rendered(text) : text;
}

test.skipIf(!hasCloudInit).for(examples)("%s: cloud-init's schema and the agent's reader take it", (name) => {
  const text = example(name);
  expectValid(text);
  const { write_files: files } = parse(text) as { write_files: { path: string; content: string }[] };
  const parameters = files.find((file) => file.path === "/run/connector-boot/enroll.yaml")?.content ?? "";
  expect(readParameters(parse(parameters), {})).toMatchObject({
    ok: true,
    value: { gateway: "172.18.128.1" },
  });
});
