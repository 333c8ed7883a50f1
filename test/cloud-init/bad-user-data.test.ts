import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { hasCloudInit, schemaSays } from "./cloud-init.ts";

/** What becomes of user-data that is wrong before the agent is asked: cloud-init's own words. */
const good = readFileSync(join(import.meta.dirname, "..", "..", "cloud-init", "user-data.yaml"), "utf8");
const withoutOtp = good.replace(/ {2}- path: \/run\/credstore[\s\S]*?(?=runcmd:)/, "");

test.skipIf(!hasCloudInit).for<[what: string, text: string, says: RegExp]>([
  ["not YAML", `${good}  "open: [\n`, /not valid YAML|Invalid schema|could not find|parsing/i],
  ["without its first line", good.replace("#cloud-config\n", ""), /#cloud-config/],
  ["indented with tabs", good.replaceAll("  - path", "\t- path"), /not valid YAML|cannot start any token/i],
  [
    "of the wrong type",
    good.replace(/write_files:[\s\S]*(?=runcmd)/, "write_files: yes\n"),
    /write_files.*not of type 'array'/,
  ],
  ["with an unquoted mode", good.replaceAll('"0600"', "0600"), /permissions.*not of type 'string'/],
])("%s: its schema says so", ([, text, says]) => {
  const { status, output } = schemaSays(text);
  expect(status).not.toBe(0);
  expect(output).toMatch(says);
});

test.skipIf(!hasCloudInit).for<[what: string, text: string]>([
  ["with a quoted mode", good],
  ["without an OTP, which the agent then asks for", withoutOtp],
  ["longer than the 16 KB that EC2 takes", `${good}#${"x".repeat(17_408)}\n`],
])("%s: its schema takes it", ([, text]) => {
  const { status, output } = schemaSays(text);
  expect(status, output).toBe(0);
});
