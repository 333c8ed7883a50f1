import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { readParameters } from "../../agent/core/parameters.ts";

const path = fileURLToPath(new URL("../../cloud-init/user-data.yaml", import.meta.url));
const hasCloudInit = spawnSync("cloud-init", ["--version"]).status === 0;

test.skipIf(!hasCloudInit)("cloud-init's own schema takes the user-data (skipped without cloud-init)", () => {
  const result = spawnSync("cloud-init", ["schema", "--annotate", "-c", path], { encoding: "utf8" });
  expect(result.stdout + result.stderr).toContain("Valid");
  expect(result.status).toBe(0);
});

test("the agent takes the parameters it writes", () => {
  const { write_files: files } = parse(readFileSync(path, "utf8"));
  const parameters = files.find((file: { path: string }) => file.path === "/run/connector-boot/enroll.yaml");
  expect(readParameters(parse(parameters.content), {})).toMatchObject({
    ok: true,
    value: { ip: "172.18.140.76", gateway: "172.18.128.1" },
  });
});
