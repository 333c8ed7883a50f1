import { execFile, execFileSync, spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { loopbackPlace } from "../../lab/loopback.ts";
import type { Place } from "../../lab/place.ts";
import { startLab } from "../../lab/start.ts";
import { makePackages } from "../../scripts/package/make.ts";
import { products } from "../../scripts/package/products.ts";
import { releaseOf } from "../../scripts/package/release.ts";
import { runtimeFor } from "../../scripts/package/runtime.ts";
import { instanceOf, look, patient, untilActive } from "../e2e/look.ts";
import { temporaryFolder } from "../support/folder.ts";

/**
 * What the arm64 package of the agent brings, with the Node that is in it, on an emulated processor: Debian's qemu-user with
 * the C and C++ libraries of arm64. The kernel is this machine's, so the data path is only recorded.
 */
vi.setConfig({ testTimeout: 90_000, hookTimeout: 180_000 });
const libraries = "/usr/aarch64-linux-gnu";
const obstacle = obstacleHere();
const folder = temporaryFolder();
const release = releaseOf(1);
const installed = join(folder.path, "installed");

afterAll(() => folder[Symbol.dispose]());

describe.skipIf(obstacle !== undefined)(
  `the arm64 package${obstacle === undefined ? "" : ` (skipped: ${obstacle})`}`,
  () => {
    beforeAll(async () => {
      const made = await makePackages({
        products: products.filter(({ name }) => name === "connector"),
        architectures: ["arm64"],
        formats: ["deb"],
        release,
        level: 0,
        out: folder.path,
      });
      const deb = made.find((path) => path.endsWith(".deb")) ?? "";
      execFileSync("dpkg-deb", ["--extract", deb, installed]);
    });

    test("the command line starts", async () => {
      const [command, ...args] = emulated("connector.mjs");
      const { stdout } = await promisify(execFile)(command, [...args, "--version"]);
      expect(stdout).toBe(`connector ${release.version}\n`);
    });

    test("the agent enrols over TLS, is Active, and leases a device its address", async () => {
      await using lab = await startLab({
        folder: join(folder.path, "lab"),
        place: emulatedPlace(),
        instances: 1,
        devices: 1,
        controllerSettings: patient,
      });
      await untilActive(lab, 60_000);
      const instance = instanceOf(lab);
      expect(readFileSync(`/proc/${instance.process.pid}/cmdline`, "utf8")).toMatch(/^qemu-aarch64\0/);
      expect(await look(instance, "leases")).toMatchObject([{ state: "leased", ipv4: "172.18.128.16" }]);
    });
  },
);

/** The agent is the package's; whatever else is this machine's. */
function emulatedPlace(): Place {
  const place = loopbackPlace("emulated");
  const agent = join(folder.path, "connector-agent");
  // What comes first is the script of the sources.
  const script = `#!/bin/sh\nshift\nexec ${emulated("connector-agent.mjs").join(" ")} "$@"\n`;
  writeFileSync(agent, script, { mode: 0o755 });
  return {
    ...place,
    addInstance: async (name, imds) => {
      const site = await place.addInstance(name, imds);
      return { ...site, process: { ...site.process, command: [agent] } };
    },
  };
}

function emulated(program: string): [command: string, ...args: string[]] {
  const at = join(installed, "usr/lib/connector");
  return ["qemu-aarch64", "-L", libraries, join(at, "node"), join(at, program)];
}

function obstacleHere(): string | undefined {
  if (process.arch === "arm64") return "this machine is one: every other test is of it";
  const missing = ["qemu-aarch64", "dpkg-deb"].find((name) => spawnSync(name, ["--version"]).status !== 0);
  if (missing !== undefined) return `${missing} is not installed`;
  if (!existsSync(join(libraries, "lib/libatomic.so.1"))) return "no C++ libraries of arm64";
  try {
    runtimeFor("arm64");
    return undefined;
  } catch (error) {
    return `no Node for arm64: ${(error as Error).message}`;
  }
}
