import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Product } from "./products.ts";
import { licence, root } from "./release.ts";
import type { Runtime } from "./runtime.ts";

/** An npm package that went into a bundle. */
export interface Bundled {
  readonly name: string;
  readonly version: string;
  /** As its package.json says: SPDX. */
  readonly licence: string;
  /** Where it is in node_modules. */
  readonly path: string;
  /** The texts that come with it. */
  readonly texts: readonly string[];
}

/** By folders of node_modules; one that is there twice in the same version counts once. */
export function bundledIn(paths: readonly string[]): readonly Bundled[] {
  const found = new Map<string, Bundled>();
  for (const path of paths) {
    const folder = join(root, "node_modules", path);
    const { name, version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as {
      name: string;
      version: string;
      license?: string;
    };
    if (license === undefined) throw new Error(`${path} says no licence`);
    const files = readdirSync(folder).filter((file) => /^(licen[cs]e|copying|notice)/i.test(file));
    const texts = files.sort().map((file) => readFileSync(join(folder, file), "utf8").trim());
    if (texts.length === 0) texts.push(nameOf(license));
    found.set(`${name} ${version}`, { name, version, licence: license, path, texts });
  }
  return [...found.values()];
}

/** One file for all: ours, Node's with what is in it, and that of every package in the bundle. */
export function copyrightText(product: Product, bundled: readonly Bundled[], runtime: Runtime): string {
  const ours =
    licence === "Apache-2.0"
      ? `Licensed under the Apache License, Version 2.0. On Debian systems the text is in
/usr/share/common-licenses/Apache-2.0; else see http://www.apache.org/licenses/LICENSE-2.0.`
      : readFileSync(join(root, "LICENSE"), "utf8");
  const parts = [
    `${product.name}\n\n${ours}`,
    `This package contains Node.js ${runtime.version} (/usr/lib/${product.name}/node), unchanged as nodejs.org releases it, and\n` +
      `parts of these npm packages:\n\n${bundled.map((one) => `  ${one.name} ${one.version}, ${one.licence}`).join("\n")}`,
    ...textsOf(bundled),
    `Node.js ${runtime.version}\n\n${readFileSync(join(runtime.folder, "LICENSE"), "utf8").trim()}`,
  ];
  return `${parts.join(`\n\n${"-".repeat(78)}\n\n`)}\n`;
}

/** Where its authors left the text of the licence to its name. Ours is the same where the name is. */
function nameOf(spdx: string): string {
  if (spdx === licence) return readFileSync(join(root, "LICENSE"), "utf8").trim();
  return `${spdx}, of which the package carries no text: https://spdx.org/licenses/${spdx}.html`;
}

/** A text that several packages have stands once, below their names. */
function textsOf(bundled: readonly Bundled[]): string[] {
  const byText = Map.groupBy(bundled, ({ texts }) => texts.join("\n\n"));
  return [...byText].map(([text, packages]) => {
    return `${packages.map(({ name, version }) => `${name} ${version}`).join("\n")}\n\n${text}`;
  });
}
