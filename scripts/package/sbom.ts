import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Bundled } from "./notices.ts";
import type { Architecture, Product } from "./products.ts";
import { licence, type Release, root } from "./release.ts";
import type { LockFile, Runtime } from "./runtime.ts";

/** A bill of materials, CycloneDX 1.6: what the package contains besides our own code. The same input makes the same bytes. */
export function sbomText(
  product: Product,
  architecture: Architecture,
  { version, revision, epoch }: Release,
  bundled: readonly Bundled[],
  runtime: Runtime,
): string {
  const lock = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")) as LockFile;
  const own = `pkg:generic/${product.name}@${version}-${revision}?arch=${architecture}`;
  const components = [
    component("platform", runtime.name, runtime.version, "MIT", runtime.integrity),
    ...bundled.map(({ name, version, licence, path }) => {
      return component("library", name, version, licence, lock.packages[`node_modules/${path}`]?.integrity);
    }),
  ];
  const bom = {
    $schema: "http://cyclonedx.org/schema/bom-1.6.schema.json",
    bomFormat: "CycloneDX",
    specVersion: "1.6",
    serialNumber: `urn:uuid:${uuidOf(JSON.stringify([own, epoch, components]))}`,
    version: 1,
    metadata: {
      timestamp: new Date(epoch * 1000).toISOString(),
      component: {
        type: "application",
        "bom-ref": own,
        name: product.name,
        version: `${version}-${revision}`,
        licenses: [{ license: { id: licence } }],
        purl: own,
      },
    },
    components,
    dependencies: [{ ref: own, dependsOn: components.map((one) => one["bom-ref"]) }],
  };
  return `${JSON.stringify(bom, null, 2)}\n`;
}

function component(type: string, name: string, version: string, spdx: string, integrity: string | undefined) {
  const purl = `pkg:npm/${name.replace("@", "%40")}@${version}`;
  const isExpression = /[ ()]/.test(spdx);
  return {
    type,
    "bom-ref": purl,
    name,
    version,
    licenses: [isExpression ? { expression: spdx } : { license: { id: spdx } }],
    ...(integrity === undefined ? {} : { hashes: [{ alg: "SHA-512", content: hexOf(integrity) }] }),
    purl,
  };
}

function hexOf(integrity: string): string {
  return Buffer.from(integrity.replace(/^sha512-/, ""), "base64").toString("hex");
}

/** RFC 9562, version 8: made of a hash. */
function uuidOf(text: string): string {
  const hex = createHash("sha256").update(text).digest("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}
