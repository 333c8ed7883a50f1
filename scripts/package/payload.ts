import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { gzipSync } from "node:zlib";
import type { Format, Product } from "./products.ts";
import { type Release, root } from "./release.ts";
import type { PackageFile } from "./tree.ts";

export interface PayloadInput {
  readonly product: Product;
  readonly format: Format;
  /** Where the product was bundled into. */
  readonly bundle: string;
  /** bin/node of the architecture. */
  readonly node: string;
  readonly release: Release;
  readonly copyright: string;
}

/** Everything that a package installs. */
export function payloadOf(input: PayloadInput): readonly PackageFile[] {
  const { product, format, copyright } = input;
  const doc =
    format === "deb"
      ? `/usr/share/doc/${product.name}/copyright`
      : `/usr/share/licenses/${product.name}/LICENSES`;
  return [
    ...programFiles(input),
    ...systemdFiles(product, format),
    ...completionFiles(input),
    ...manFiles(input),
    text(doc, copyright),
  ];
}

/** The bundle beside its own Node, so that whatever Node the host has stays the host's matter. */
function programFiles({ product, bundle, node }: PayloadInput): PackageFile[] {
  const home = `/usr/lib/${product.name}`;
  const modules = readdirSync(bundle, { recursive: true, encoding: "utf8" })
    .filter((path) => statSync(join(bundle, path)).isFile())
    .sort()
    .map((path) => {
      const source = readFileSync(join(bundle, path), "utf8");
      return text(`${home}/${path}`, source.replace(/^#!.*\n/, ""));
    });
  const callers = Object.entries(product.programs).map(([name, folder]) => {
    const script = `#!/bin/sh\nexec ${home}/node ${home}/${name}.mjs "$@"\n`;
    return text(`${folder}/${name}`, script, 0o755);
  });
  return [{ path: `${home}/node`, content: { is: "copy", of: node, mode: 0o755 } }, ...modules, ...callers];
}

function systemdFiles({ systemd, unit }: Product, format: Format): PackageFile[] {
  const files = Object.entries(systemd).flatMap(([folder, names]) => {
    return names.map((name) => copied(`/usr/lib/${folder}/${basename(name)}`, join("systemd", name)));
  });
  if (format === "rpm") return files;
  const dropIn = `${unit}.d/10-since-254.conf`;
  return [...files, copied(`/usr/lib/systemd/system/${dropIn}`, join("systemd/since-254", dropIn))];
}

/** As the program prints it: it asks the program for what can follow. */
function completionFiles({ product, format, bundle }: PayloadInput): PackageFile[] {
  const zsh = format === "deb" ? "/usr/share/zsh/vendor-completions" : "/usr/share/zsh/site-functions";
  return product.completes.flatMap((name) => {
    const script = (shell: string) => {
      const program = join(bundle, `${name}.mjs`);
      return execFileSync(process.execPath, [program, "completion", shell], { encoding: "utf8" }).trim();
    };
    return [
      text(`/usr/share/bash-completion/completions/${name}`, `${script("bash")}\n`),
      text(`${zsh}/_${name}`, `${script("zsh")}\n`),
    ];
  });
}

function manFiles({ product, release: { version, epoch } }: PayloadInput): PackageFile[] {
  return product.manPages.map((page) => {
    const source = readFileSync(join(root, "docs/man", page), "utf8")
      .replaceAll("@VERSION@", version)
      .replaceAll("@DATE@", new Date(epoch * 1000).toISOString().slice(0, 10));
    return text(`/usr/share/man/man${page.at(-1)}/${page}.gz`, gzipped(source));
  });
}

/** Without a name or a time in it. */
export function gzipped(source: string): Buffer {
  return gzipSync(source, { level: 9 });
}

export function text(path: string, content: string | Buffer, mode: 0o644 | 0o755 = 0o644): PackageFile {
  return { path, content: { is: "text", text: content, mode } };
}

/** With the mode that it has in the sources: executable or not. */
function copied(path: string, of: string): PackageFile {
  const file = join(root, of);
  const mode = statSync(file).mode & 0o100 ? 0o755 : 0o644;
  return { path, content: { is: "copy", of: file, mode } };
}
