// `npm test`: sets up the machine, then formatting and lint, types, and the test suite, all of them always.
//   npm test                      everything
//   npm test -- test/unit         only these tests (arguments go to Vitest)
import { spawnSync } from "node:child_process";
import { dirname, join } from "node:path";
import { pinnedNode, root, setUpDebianPackages, setUpPackages } from "./setup.mjs";

setUpPackages();
setUpDebianPackages();

const modules = join(root, "node_modules");
const env = { ...process.env, PATH: `${dirname(pinnedNode)}:${process.env.PATH ?? ""}` };
const selection = process.argv.slice(2);
const steps = [
  ["lint", pinnedNode, [join(modules, "@biomejs/biome/bin/biome"), "check", "."]],
  ["types", pinnedNode, [join(modules, "typescript/bin/tsc")]],
  ["tests", pinnedNode, [join(modules, "vitest/vitest.mjs"), "run", ...selection]],
];
const failed = [];
for (const [name, command, args] of steps) {
  if (selection.length > 0 && name !== "tests") continue;
  const { status } = spawnSync(command, args, { cwd: root, stdio: "inherit", env });
  if (status !== 0) failed.push(name);
}
if (failed.length > 0) {
  console.error(`npm test: failed: ${failed.join(", ")}`);
  process.exit(1);
}
