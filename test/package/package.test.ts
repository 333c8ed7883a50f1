import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { makePackages } from "../../scripts/package/make.ts";
import { architectures, formats, products } from "../../scripts/package/products.ts";
import { type Release, releaseOf, root } from "../../scripts/package/release.ts";
import type { Runtime } from "../../scripts/package/runtime.ts";
import { temporaryFolder } from "../support/folder.ts";

// What installing them does, on a host with systemd: test/systemd/host.test.ts. Here Node is a stand-in of a few bytes,
// because the real one has 120 MB, and is copied as it is.

const missing = ["dpkg-deb", "rpmbuild", "rpm"].filter((tool) => {
  return spawnSync("sh", ["-c", `command -v ${tool}`]).status !== 0;
});
const title = missing.length === 0 ? "packages" : `packages (not installed: ${missing.join(", ")})`;

describe.skipIf(missing.length > 0)(title, () => {
  const folder = temporaryFolder();
  afterAll(() => folder[Symbol.dispose]());
  let made: readonly string[] = [];
  const release: Release = { ...releaseOf(7), epoch: 1_700_000_000 };
  const build = (out: string) => {
    const runtime = () => standIn(folder.path);
    return makePackages({
      products,
      architectures,
      formats,
      release,
      level: 1,
      out: join(folder.path, out),
      runtime,
    });
  };
  beforeAll(async () => {
    made = await build("first");
  }, 120_000);

  test("there is one for each product, format and architecture, and a bill of materials", () => {
    const v = "0.1.0";
    const [a, b] = products.map(({ name }) => name);
    expect(made.map((path) => basename(path).replace(release.version, v)).toSorted()).toEqual(
      [a, b]
        .flatMap((name) => [
          ...["amd64", "arm64"].flatMap((arch) => [
            `${name}_${v}-7_${arch}.deb`,
            `${name}_${v}-7_${arch}.cdx.json`,
          ]),
          ...["x86_64", "aarch64"].map((arch) => `${name}-${v}-7.${arch}.rpm`),
        ])
        .toSorted(),
    );
  });

  test("the same sources make the same bytes, at another time and place", { timeout: 120_000 }, async () => {
    const again = await build("somewhere/else");
    expect(again.map(digest)).toEqual(made.map(digest));
  });

  test("a .deb brings what is said", () => {
    const files = debFiles(pathOf("connector_", "amd64.deb"));
    expect(files.filter((path) => !/\/shared\//.test(path))).toEqual([
      "/usr/bin/connector",
      "/usr/lib/connector/connector-agent.mjs",
      "/usr/lib/connector/connector.mjs",
      "/usr/lib/connector/forget-otp",
      "/usr/lib/connector/node",
      "/usr/lib/connector/take-parameters",
      "/usr/lib/modules-load.d/connector.conf",
      "/usr/lib/sysctl.d/60-connector.conf",
      "/usr/lib/systemd/system/connector-leave.service",
      "/usr/lib/systemd/system/connector-otp.path",
      "/usr/lib/systemd/system/connector-otp.service",
      "/usr/lib/systemd/system/connector.service",
      "/usr/lib/systemd/system/connector.service.d/10-since-254.conf",
      "/usr/lib/sysusers.d/connector.conf",
      "/usr/lib/tmpfiles.d/connector.conf",
      "/usr/sbin/connector-agent",
      "/usr/share/bash-completion/completions/connector",
      "/usr/share/doc/connector/changelog.Debian.gz",
      "/usr/share/doc/connector/copyright",
      "/usr/share/lintian/overrides/connector",
      "/usr/share/man/man1/connector.1.gz",
      "/usr/share/man/man5/enroll.yaml.5.gz",
      "/usr/share/man/man8/connector-agent.8.gz",
      "/usr/share/zsh/vendor-completions/_connector",
    ]);
  });

  test("a .rpm brings the same, and nothing that systemd 252 does not know", () => {
    const rpm = pathOf("connector-0", "x86_64.rpm");
    const query = ["-qp", "--list", "--dbpath", join(folder.path, "rpmdb"), rpm];
    const files = execFileSync("rpm", query, { encoding: "utf8" })
      .split("\n")
      .filter((path) => path !== "" && !/^\/usr\/lib\/connector(\/shared)?$/.test(path));
    const both = (path: string) => !/\/(doc|licenses|lintian|zsh)\//.test(path);
    const deb = debFiles(pathOf("connector_", "amd64.deb")).filter(both);
    expect(files.filter(both).toSorted()).toEqual(deb.filter((path) => !path.includes("since-254")));
    expect(files).toContain("/usr/share/licenses/connector/LICENSES");
  });

  test("dependencies have the names of the distribution", () => {
    const field = (name: string, of: string) => {
      return execFileSync("dpkg-deb", ["--field", pathOf(`${of}_`, "arm64.deb"), name], {
        encoding: "utf8",
      }).trim();
    };
    expect(field("Depends", "connector")).toContain("nftables (>= 1.0.4), conntrack, dnsmasq-base (>= 2.87)");
    expect(field("Suggests", "connector")).toBe("wireguard-go");
    expect(field("Architecture", "connector-controller")).toBe("arm64");
    const query = [
      "-qp",
      "--requires",
      "--dbpath",
      join(folder.path, "rpmdb"),
      pathOf("connector-0", "aarch64.rpm"),
    ];
    expect(execFileSync("rpm", query, { encoding: "utf8" })).toContain("conntrack-tools\ndnsmasq >= 2.87\n");
  });

  test("the bill of materials names each package once, with licence and hash, and Node", () => {
    const bom = JSON.parse(readFileSync(pathOf("connector_", "amd64.cdx.json"), "utf8")) as Bom;
    expect(bom).toMatchObject({ bomFormat: "CycloneDX", specVersion: "1.6" });
    const purls = bom.components.map(({ purl }) => purl);
    expect(new Set(purls).size).toBe(purls.length);
    expect(purls.map((purl) => purl.replace(/@[^@]+$/, ""))).toEqual(
      expect.arrayContaining(["pkg:npm/stand-in", "pkg:npm/pino", "pkg:npm/zod", "pkg:npm/%40smithy/core"]),
    );
    // Only what runs: no part of what builds or tests it.
    expect(purls.filter((purl) => /vitest|typescript|biome|rolldown|fastify/.test(purl))).toEqual([]);
    const { components } = bom;
    expect(
      components.filter(({ licenses, hashes }) => licenses.length === 0 || hashes === undefined),
    ).toEqual([]);
  });

  test("its licences are those of what is in it", () => {
    const copyright = debFile(pathOf("connector_", "amd64.deb"), "./usr/share/doc/connector/copyright");
    const bom = JSON.parse(readFileSync(pathOf("connector_", "amd64.cdx.json"), "utf8")) as Bom;
    for (const { name, version, type } of bom.components) {
      if (type === "library") expect(copyright.includes(`  ${name} ${version}, `), name).toBe(true);
    }
    for (const text of ["The licence of a stand-in", "Copyright (c) 2025 Colin McDonnell"]) {
      expect(copyright.includes(text), text).toBe(true);
    }
  });

  test("the programs start from where they are installed", () => {
    const at = join(folder.path, "installed");
    execFileSync("dpkg-deb", ["--extract", pathOf("connector_", "amd64.deb"), at]);
    execFileSync("dpkg-deb", ["--extract", pathOf("connector-controller_", "amd64.deb"), at]);
    const run = (program: string) => {
      const script = readFileSync(join(at, program), "utf8");
      const [, main = ""] = /node (\S+\.mjs)/.exec(script) ?? [];
      return execFileSync(process.execPath, [join(at, main), "--version"], { encoding: "utf8" }).trim();
    };
    expect(
      ["usr/bin/connector", "usr/sbin/connector-agent", "usr/bin/connector-controller"].map(run),
    ).toEqual([
      `connector ${release.version}`,
      `connector-agent ${release.version}`,
      `connector-controller ${release.version}`,
    ]);
  });

  const lintian = spawnSync("lintian", ["--version"]).status === 0;
  test("lintian finds no error", { timeout: 120_000, skip: !lintian }, () => {
    const debs = products.map(({ name }) => pathOf(`${name}_`, "amd64.deb"));
    // The stand-in is no program, and has no need of what is overridden for Node.
    const tags = ["--fail-on", "error", "--suppress-tags", "mismatched-override,binary-without-manpage"];
    const { status, stdout, stderr } = spawnSync("lintian", ["--allow-root", ...tags, ...debs], {
      encoding: "utf8",
    });
    expect(status, stdout + stderr).toBe(0);
  });

  function pathOf(start: string, end: string): string {
    const path = made.find((one) => basename(one).startsWith(start) && one.endsWith(end));
    if (path === undefined) throw new Error(`no ${start}…${end}`);
    return path;
  }
});

test("man pages tell of every command and every parameter", () => {
  const page = (name: string) => readFileSync(join(root, "docs/man", name), "utf8").replaceAll("\\-", "-");
  const helpOf = (main: string) =>
    execFileSync(process.execPath, [join(root, main), "--help"], { encoding: "utf8" });
  for (const [name, main, command] of [
    ["connector.1", "agent/cli/main.ts", "connector"],
    ["connector-controller.8", "controller/cli/main.ts", "connector-controller"],
  ] as const) {
    const help = helpOf(main);
    const commands = [...help.matchAll(new RegExp(`^  ${command} ([a-z-]+)`, "gm"))].map(
      ([, word = ""]) => word,
    );
    expect(commands.length).toBeGreaterThan(8);
    expect(
      commands.filter((word) => !new RegExp(`^\\.(B|BR).* ?\\b${word}\\b`, "m").test(page(name))),
    ).toEqual([]);
  }
  const options = [...helpOf("agent/main.ts").matchAll(/^ {2}(--[a-z-]+)/gm)].map(
    ([, option = ""]) => option,
  );
  expect(
    options.filter((option) => option !== "--version" && !page("connector-agent.8").includes(option)),
  ).toEqual([]);
  const readme = readFileSync(join(root, "cloud-init/README.md"), "utf8");
  const fields = [...readme.matchAll(/^\| `(\w+)` \|/gm)].map(([, field = ""]) => field);
  expect(fields.length).toBeGreaterThan(8);
  expect(fields.filter((field) => !page("enroll.yaml.5").includes(`.BR ${field} `))).toEqual([]);
});

interface Bom {
  readonly components: readonly {
    readonly type: string;
    readonly name: string;
    readonly version: string;
    readonly purl: string;
    readonly licenses: readonly unknown[];
    readonly hashes?: readonly unknown[];
  }[];
}

function standIn(folder: string): Runtime {
  const at = join(folder, "stand-in");
  mkdirSync(join(at, "bin"), { recursive: true });
  writeFileSync(join(at, "bin/node"), "#!/bin/sh\nexit 1\n");
  writeFileSync(join(at, "LICENSE"), "The licence of a stand-in\n");
  return {
    name: "stand-in",
    version: "0.0.0",
    integrity: `sha512-${Buffer.alloc(64).toString("base64")}`,
    folder: at,
  };
}

function digest(path: string): string {
  return `${basename(path)} ${createHash("sha256").update(readFileSync(path)).digest("hex")}`;
}

function debFiles(deb: string): string[] {
  const listing = execFileSync("dpkg-deb", ["--contents", deb], { encoding: "utf8" });
  return [...listing.matchAll(/^-\S+ root\/root .* \.(\/\S+)$/gm)].map(([, path = ""]) => path).toSorted();
}

function debFile(deb: string, path: string): string {
  const command = ["-c", 'dpkg-deb --fsys-tarfile "$1" | tar -xO "$2"', "sh", deb, path];
  return execFileSync("sh", command, { encoding: "utf8", maxBuffer: 1 << 26 });
}
