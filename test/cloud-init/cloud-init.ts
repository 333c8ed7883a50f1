import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { temporaryFolder } from "../support/folder.ts";

export const hasCloudInit = spawnSync("cloud-init", ["--version"]).status === 0;
const mac = "0e:49:61:0f:00:01";

/** What cloud-init makes of it on the first instance of the lab's subnet. */
export function rendered(text: string): string {
  using folder = temporaryFolder();
  const data = {
    "local-ipv4": "172.18.139.4",
    "public-ipv4": "198.51.100.4",
    mac,
    network: { interfaces: { macs: { [mac]: { "subnet-ipv4-cidr-block": "172.18.128.0/20" } } } },
  };
  const [instance, template] = [join(folder.path, "instance.json"), join(folder.path, "user-data")];
  writeFileSync(instance, JSON.stringify({ ds: { meta_data: data }, v1: { instance_id: "i-1" } }));
  writeFileSync(template, text);
  const args = ["devel", "render", "--instance-data", instance, template];
  const { stdout, stderr, status } = spawnSync("cloud-init", args, { encoding: "utf8" });
  expect(status, stderr).toBe(0);
  return stdout;
}

/** By the schema of the cloud-init that is installed. */
export function expectValid(text: string): void {
  const { status, output } = schemaSays(text);
  expect(status, output).toBe(0);
}

export function schemaSays(text: string): { readonly status: number | null; readonly output: string } {
  using folder = temporaryFolder();
  const file = join(folder.path, "user-data");
  writeFileSync(file, text);
  // Not --annotate: with it 22.4 ends with 0 whatever it found.
  const args = ["schema", "-c", file];
  const { stdout, stderr, status } = spawnSync("cloud-init", args, { encoding: "utf8" });
  return { status, output: `${stdout}${stderr}` };
}
