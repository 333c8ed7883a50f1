import { execFile } from "node:child_process";
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { licence, maintainer, type Release, root } from "./release.ts";
import { layTree, type OnePackage, type PackageFile } from "./tree.ts";

const names = { amd64: "x86_64", arm64: "aarch64" } as const;

/** Writes a .rpm of Amazon Linux 2023; rpmbuild does it. Returns its path. */
export async function makeRpm(options: OnePackage): Promise<string> {
  const { product, architecture, release, files, level, work, out } = options;
  const [tree, top] = [join(work, "tree"), join(work, "top")];
  layTree(tree, files, release.epoch);
  mkdirSync(top, { recursive: true });
  const spec = join(work, `${product.name}.spec`);
  writeFileSync(spec, specText(options, tree));
  const defines = {
    _topdir: top,
    _rpmdir: top,
    // Nothing of the machine or of the moment.
    _buildhost: "localhost",
    _build_name_fmt: "%{NAME}-%{VERSION}-%{RELEASE}.%{ARCH}.rpm",
    use_source_date_epoch_as_buildtime: "1",
    clamp_mtime_to_source_date_epoch: "1",
    source_date_epoch_from_changelog: "0",
    _binary_payload: level === 0 ? "w.ufdio" : `w${level}.xzdio`,
    // Nothing is stripped, compressed or rewritten on the way.
    __os_install_post: "%{nil}",
    debug_package: "%{nil}",
    _build_id_links: "none",
    _dbpath: join(work, "db"),
  };
  const args = Object.entries(defines).flatMap(([name, value]) => ["--define", `${name} ${value}`]);
  const how = ["-bb", "--quiet", "--nodeps", "--target", names[architecture]];
  await promisify(execFile)("rpmbuild", [...how, ...args, spec], {
    env: { ...process.env, SOURCE_DATE_EPOCH: String(release.epoch), LC_ALL: "C", TZ: "UTC" },
  });
  const file = `${product.name}-${release.version}-${release.revision}.${names[architecture]}.rpm`;
  renameSync(join(top, file), join(out, file));
  return join(out, file);
}

function specText({ product, release, files }: OnePackage, tree: string): string {
  const { name, summary, description, dependencies } = product;
  const { needs, suggests } = dependencies.rpm;
  const lines = (tag: string, values: readonly string[]) =>
    values.map((value) => `${tag}: ${value}\n`).join("");
  return `Name: ${name}
Version: ${release.version}
Release: ${release.revision}
Summary: ${summary}
License: ${licence}
Packager: ${maintainer}
AutoReqProv: no
${lines("Requires", needs)}${lines("Suggests", suggests)}
%description
${description}

%install
cp -a ${tree}/. %{buildroot}/

%files
%defattr(-,root,root,-)
${ownFolders(name, files)
  .map((folder) => `%dir ${folder}`)
  .join("\n")}
${files.map(fileLine).join("\n")}

${readFileSync(join(root, `scripts/package/rpm/${name}.scriptlets`), "utf8")}
%changelog
* ${rpmDate(release)} ${maintainer} - ${release.version}-${release.revision}
${release.changes.map((change) => `- ${change.replaceAll("%", "%%")}`).join("\n")}
`;
}

/** Those that go with the package: folders of its name, and what is in them. */
function ownFolders(name: string, files: readonly PackageFile[]): string[] {
  const folders = files.map(({ path }) => dirname(path)).filter((path) => path.split("/").includes(name));
  return [...new Set(folders)].sort();
}

function fileLine({ path }: PackageFile): string {
  if (path.startsWith("/usr/share/man/")) return `%doc ${path}`;
  return path.startsWith("/usr/share/licenses/") ? `%license ${path}` : path;
}

/** `Sun Nov 22 2026`. */
function rpmDate({ epoch }: Release): string {
  const [weekday = "", day, month, year] = new Date(epoch * 1000).toUTCString().split(" ");
  return `${weekday.replace(",", "")} ${month} ${day} ${year}`;
}
