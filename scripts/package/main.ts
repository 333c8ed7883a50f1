/**
 * Makes the packages: `npm run package [-- OPTION ...]`.
 *
 *   --out DIR       where to               [dist/packages]
 *   --arch NAME     amd64, arm64           [both]; may be repeated, as the next two
 *   --format NAME   deb, rpm               [both]
 *   --product NAME  connector, connector-controller  [both]
 *   --revision N    of this version's packages       [1]
 *   --level N       of compression, 1 to 9           [6]
 *
 * The same sources make the same bytes.
 */
import { statSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Choice, makePackages } from "./make.ts";
import { architectures, formats, products } from "./products.ts";
import { releaseOf, root } from "./release.ts";

const { values } = parseArgs({
  options: {
    out: { type: "string", default: join(root, "dist/packages") },
    arch: { type: "string", multiple: true, default: [...architectures] },
    format: { type: "string", multiple: true, default: [...formats] },
    product: { type: "string", multiple: true, default: products.map(({ name }) => name) },
    revision: { type: "string", default: "1" },
    level: { type: "string", default: "6" },
  },
});
const choice: Choice = {
  products: chosen(products, values.product, ({ name }) => name),
  architectures: chosen(architectures, values.arch, (name) => name),
  formats: chosen(formats, values.format, (name) => name),
};
await makePackages({
  ...choice,
  out: values.out,
  release: releaseOf(whole(values.revision)),
  level: whole(values.level),
  onMade: (path) => console.log(`${(statSync(path).size / 1e6).toFixed(1).padStart(6)} MB  ${path}`),
});

function chosen<T>(all: readonly T[], names: readonly string[], nameOf: (one: T) => string): readonly T[] {
  const unknown = names.find((name) => !all.some((one) => nameOf(one) === name));
  if (unknown !== undefined) throw new RangeError(`${unknown}: ${all.map(nameOf).join(" or ")}`);
  return all.filter((one) => names.includes(nameOf(one)));
}

function whole(text: string): number {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 1) throw new RangeError(`${text} is no whole number from 1`);
  return number;
}
