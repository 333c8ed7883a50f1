import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { makeDeb } from "./deb.ts";
import { bundledIn, copyrightText } from "./notices.ts";
import { payloadOf } from "./payload.ts";
import type { Architecture, Format, Product } from "./products.ts";
import type { Release } from "./release.ts";
import { makeRpm } from "./rpm.ts";
import { type Runtime, runtimeFor } from "./runtime.ts";
import { sbomText } from "./sbom.ts";

export interface Choice {
  readonly products: readonly Product[];
  readonly architectures: readonly Architecture[];
  readonly formats: readonly Format[];
}

export interface PackageOptions extends Choice {
  readonly release: Release;
  /** How much it is compressed, 1 to 9; 0: not at all, for tests. */
  readonly level: number;
  readonly out: string;
  /** Another Node than the one that is released: a small one, for tests. */
  readonly runtime?: (architecture: Architecture) => Runtime;
}

/** Makes every package that was chosen, with a bill of materials for each architecture beside them. Returns their paths. */
export async function makePackages(options: PackageOptions): Promise<readonly string[]> {
  const { products, architectures, formats, release, level, out } = options;
  const { runtime: runtimeOf = runtimeFor } = options;
  mkdirSync(out, { recursive: true });
  const work = mkdtempSync(join(tmpdir(), "connector-package-"));
  const made: string[] = [];
  try {
    for (const product of products) {
      const bundle = join(work, product.name);
      const bundled = bundledIn(await product.build(bundle));
      for (const architecture of architectures) {
        const runtime = runtimeOf(architecture);
        const copyright = copyrightText(product, bundled, runtime);
        for (const format of formats) {
          const node = join(runtime.folder, "bin/node");
          const files = payloadOf({ product, format, bundle, node, release, copyright });
          const tree = join(work, `${product.name}-${architecture}-${format}`);
          const make = format === "deb" ? makeDeb : makeRpm;
          made.push(make({ product, architecture, release, files, level, work: tree, out }));
          rmSync(tree, { recursive: true, force: true });
        }
        const sbom = join(
          out,
          `${product.name}_${release.version}-${release.revision}_${architecture}.cdx.json`,
        );
        writeFileSync(sbom, sbomText(product, architecture, release, bundled, runtime));
        made.push(sbom);
      }
    }
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return made.toSorted((a, b) => basename(a).localeCompare(basename(b)));
}
