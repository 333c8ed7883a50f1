import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
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
  /** Told of each file that is made, by its path. */
  readonly onMade?: (path: string) => void;
}

/**
 * Makes every package that was chosen, with a bill of materials for each architecture beside them, as many at once as
 * there are processors. Returns their paths.
 */
export async function makePackages(options: PackageOptions): Promise<readonly string[]> {
  const { out, onMade } = options;
  mkdirSync(out, { recursive: true });
  const work = mkdtempSync(join(tmpdir(), "connector-package-"));
  try {
    const made: string[] = [];
    const steps = await stepsOf(options, work);
    const worker = async () => {
      for (let step = steps.shift(); step !== undefined; step = steps.shift()) {
        const path = await step();
        made.push(path);
        onMade?.(path);
      }
    };
    const workers = Array.from({ length: availableParallelism() }, worker);
    try {
      await Promise.all(workers);
    } finally {
      // Nothing new is begun after a failure, and what was begun ends before its folder goes.
      steps.length = 0;
      await Promise.allSettled(workers);
    }
    return made.toSorted((a, b) => basename(a).localeCompare(basename(b)));
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** Each makes one file, and answers its path. */
async function stepsOf(options: PackageOptions, work: string): Promise<(() => Promise<string>)[]> {
  const { products, architectures, formats, release, level, out, runtime: runtimeOf = runtimeFor } = options;
  const steps: (() => Promise<string>)[] = [];
  for (const product of products) {
    const bundle = join(work, product.name);
    const bundled = bundledIn(await product.build(bundle));
    for (const architecture of architectures) {
      const runtime = runtimeOf(architecture);
      const copyright = copyrightText(product, bundled, runtime);
      const node = join(runtime.folder, "bin/node");
      for (const format of formats) {
        steps.push(async () => {
          const files = payloadOf({ product, format, bundle, node, release, copyright });
          const tree = join(work, `${product.name}-${architecture}-${format}`);
          const make = format === "deb" ? makeDeb : makeRpm;
          const path = await make({ product, architecture, release, files, level, work: tree, out });
          rmSync(tree, { recursive: true, force: true });
          return path;
        });
      }
      const name = `${product.name}_${release.version}-${release.revision}_${architecture}.cdx.json`;
      steps.push(async () => {
        const sbom = join(out, name);
        writeFileSync(sbom, sbomText(product, architecture, release, bundled, runtime));
        return sbom;
      });
    }
  }
  return steps;
}
