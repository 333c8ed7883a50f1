import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import packageFile from "../../package.json" with { type: "json" };

const root = join(import.meta.dirname, "../..");
const run = promisify(execFile);

/** Those with options of their own, by the file that reads them. */
const programs = [
  "start",
  "chaos",
  "lab",
  "image",
  "test:image",
  "build",
  "package",
  "bench",
  "sim",
] as const;

test.for(programs)("npm run %s -- --help says what it does, and does nothing", async (name) => {
  const [, , file = ""] = packageFile.scripts[name].split(" ");
  const { stdout, stderr } = await run(process.execPath, [join(root, file), "--help"]);
  expect(stdout).toContain(
    name === "start" ? "npm start --" : `npm run ${name.replace(/^lab$/, "-s lab")} --`,
  );
  expect(stdout).toContain("--help");
  expect(stderr).toBe("");
});

test.for(programs)("npm run %s names an option that it does not have", async (name) => {
  const [, , file = ""] = packageFile.scripts[name].split(" ");
  const command = name === "lab" ? ["list"] : [];
  const answer = run(process.execPath, [join(root, file), ...command, "--nowhere"]);
  await expect(answer).rejects.toMatchObject({ stderr: expect.stringMatching(/nowhere/), stdout: "" });
});
