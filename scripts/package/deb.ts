import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { gzipped, text } from "./payload.ts";
import type { Architecture, Product } from "./products.ts";
import { mailDate, maintainer, type Release, root, wrapped } from "./release.ts";
import { layTree, type OnePackage, type PackageFile, setTimes } from "./tree.ts";

/** Writes a .deb of Debian 13 and Ubuntu 24.04; dpkg-deb does it. Returns its path. */
export async function makeDeb(options: OnePackage): Promise<string> {
  const { product, architecture, release, files, level, work, out } = options;
  const { name } = product;
  const doc = `/usr/share/doc/${name}`;
  const about = [
    text(`${doc}/changelog.Debian.gz`, gzipped(changelogText(product, release))),
    text(`/usr/share/lintian/overrides/${name}`, overridesText(name)),
  ];
  layTree(work, [...files, ...about], release.epoch);
  const sizeKiB = Math.ceil(bytesIn(work) / 1024);
  const sums = text("/DEBIAN/md5sums", sumsText(work));
  const control = text("/DEBIAN/control", controlText(product, architecture, release, sizeKiB));
  layTree(work, [control, sums, ...scripts(name)], release.epoch);
  setTimes(work, release.epoch);
  const path = join(out, `${name}_${release.version}-${release.revision}_${architecture}.deb`);
  const how = [
    "--root-owner-group",
    "--threads-max=1",
    ...(level === 0 ? ["-Znone"] : ["-Zxz", `-z${level}`]),
  ];
  await promisify(execFile)("dpkg-deb", [...how, "--build", work, path], {
    env: { ...process.env, SOURCE_DATE_EPOCH: String(release.epoch), LC_ALL: "C" },
  });
  return path;
}

function controlText(
  { name, summary, description, dependencies }: Product,
  architecture: Architecture,
  { version, revision }: Release,
  sizeKiB: number,
): string {
  const { needs, suggests } = dependencies.deb;
  return `Package: ${name}
Version: ${version}-${revision}
Architecture: ${architecture}
Maintainer: ${maintainer}
Installed-Size: ${sizeKiB}
Depends: ${needs.join(", ")}
${suggests.length === 0 ? "" : `Suggests: ${suggests.join(", ")}\n`}Section: net
Priority: optional
Description: ${summary}
${description.replaceAll(/^/gm, " ")}
`;
}

function scripts(name: string): PackageFile[] {
  const folder = join(root, "scripts/package/debian");
  return ["postinst", "prerm", "postrm"].map((script) => {
    return text(`/DEBIAN/${script}`, readFileSync(join(folder, `${name}.${script}`), "utf8"), 0o755);
  });
}

function changelogText({ name }: Product, release: Release): string {
  const entries = release.changes.map((change) => `  * ${wrapped(change, 74).join("\n    ")}`);
  const head = `${name} (${release.version}-${release.revision}) unstable; urgency=medium`;
  return `${head}\n\n${entries.join("\n")}\n\n -- ${maintainer}  ${mailDate(release)}\n`;
}

/** What lintian would have otherwise, with the reason. */
function overridesText(name: string): string {
  return `# Node.js as nodejs.org releases it, byte for byte: it can be compared with the published checksums.
${name}: unstripped-binary-or-object [usr/lib/${name}/node]
# Node.js is linked with its own OpenSSL, zlib and others, and tested with those.
${name}: embedded-library *
# Node's own licences, verbatim; and those of many packages, each text once.
${name}: copyright-file-contains-full-apache-2-license
`;
}

function sumsText(folder: string): string {
  const paths = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
  return paths
    .map(
      (path) =>
        `${createHash("md5").update(readFileSync(path)).digest("hex")}  ${path.slice(folder.length + 1)}\n`,
    )
    .join("");
}

function bytesIn(folder: string): number {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((total, entry) => total + statSync(join(entry.parentPath, entry.name)).size, 0);
}
