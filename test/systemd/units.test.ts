import { spawnSync } from "node:child_process";
import { cpSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { temporaryFolder } from "../support/folder.ts";

const folder = join(import.meta.dirname, "../../systemd");
const units = readdirSync(join(folder, "system"));
const probe = spawnSync("systemd-analyze", ["--version"], { encoding: "utf8" });
const version = Number(/^systemd (\d+)/.exec(probe.stdout ?? "")?.[1] ?? 0);
const obstacle = version >= 252 ? undefined : "needs systemd-analyze 252 or newer";

describe.skipIf(obstacle)(obstacle === undefined ? "units" : `units (${obstacle})`, () => {
  test.each(units)("%s is what systemd understands", (unit) => {
    expect(complaints(unit)).toEqual([]);
  });

  test("so are the drop-ins for newer ones", { skip: version < 254 }, () => {
    for (const unit of units) expect(complaints(unit, "since-254")).toEqual([]);
  });

  // Of 10; what remains of it is explained in systemd/README.md.
  test.each([
    ["connector.service", 1.7],
    ["connector-leave.service", 0.4],
    ["connector-otp.service", 0.9],
    ["connector-controller.service", 1.3],
  ])("%s is exposed by %f at most", (unit, max) => {
    const args = ["security", "--offline=true", "--no-pager", `--threshold=${max * 10}`];
    const { status, stdout, stderr } = spawnSync("systemd-analyze", [...args, join(folder, "system", unit)], {
      encoding: "utf8",
    });
    expect(status, stderr).toBe(0);
    const exposure = Number(/exposure level for \S+: ([\d.]+)/.exec(stdout)?.[1]);
    expect(exposure).toBeLessThanOrEqual(max);
  });
});

test("no line of the units is left unexplained that is not obvious", () => {
  const readme = readFileSync(join(folder, "README.md"), "utf8");
  const texts = [...units.map((unit) => join("system", unit)), ...dropIns()].map((path) =>
    readFileSync(join(folder, path), "utf8"),
  );
  const keys = texts.flatMap((text) => [...text.matchAll(/^([A-Z]\w+)=/gm)].map(([, key = ""]) => key));
  const obvious = /^(Description|Documentation|ExecStart|User|Group|Type|WantedBy)$/;
  const missing = [...new Set(keys)].filter((key) => !obvious.test(key) && !readme.includes(`\`${key}`));
  expect(missing).toEqual([]);
});

function dropIns(): string[] {
  return readdirSync(join(folder, "since-254"), { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".conf"))
    .map((path) => join("since-254", path));
}

/** What systemd-analyze says, but for programs and pages that come with the packages. */
function complaints(unit: string, ...more: string[]): string[] {
  using load = temporaryFolder();
  cpSync(join(folder, "system"), load.path, { recursive: true });
  for (const dropIn of more) cpSync(join(folder, dropIn), load.path, { recursive: true });
  const { stderr } = spawnSync("systemd-analyze", ["verify", "--man=no", join(load.path, unit)], {
    encoding: "utf8",
    env: { ...process.env, SYSTEMD_UNIT_PATH: `${load.path}:` },
  });
  const ours = /Command \/usr\/(lib\/connector\/\S+|s?bin\/connector\S*) is not executable: No such file/;
  return stderr.split("\n").filter((line) => line !== "" && !ours.test(line));
}
