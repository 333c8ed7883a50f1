/** Makes the packages: `npm run package -- --help`. */
import { statSync } from "node:fs";
import { join } from "node:path";
import yargs from "yargs";
import { makePackages } from "./make.ts";
import { architectures, formats, products } from "./products.ts";
import { releaseOf, root } from "./release.ts";

const names = products.map(({ name }) => name);

const options = await yargs(process.argv.slice(2))
  .scriptName("npm run package --")
  .usage(
    "$0\n\nMakes the packages, with a list of what is in them (CycloneDX) beside each. The same sources make the same bytes.",
  )
  .option("out", {
    type: "string",
    requiresArg: true,
    default: join(root, "dist/packages"),
    defaultDescription: "dist/packages",
    describe: "Where to",
  })
  .option("arch", {
    array: true,
    choices: architectures,
    default: architectures,
    describe: "For which machines",
  })
  .option("format", { array: true, choices: formats, default: formats, describe: "In which formats" })
  .option("product", { array: true, choices: names, default: names, describe: "Which of the two" })
  .option("revision", {
    type: "number",
    requiresArg: true,
    default: 1,
    describe: "Of this version's packages",
  })
  .option("level", {
    type: "number",
    choices: [1, 2, 3, 4, 5, 6, 7, 8, 9],
    default: 6,
    describe: "Of compression",
  })
  .check(
    ({ revision }) => (Number.isInteger(revision) && revision > 0) || "--revision is a whole number from 1",
  )
  .example("$0", "both, for every machine and in every format")
  .example("$0 --product connector --arch arm64 --format rpm", "the agent's for Amazon Linux on Graviton")
  .strict()
  .parseAsync();
await makePackages({
  products: products.filter(({ name }) => options.product.includes(name)),
  architectures: architectures.filter((name) => options.arch.includes(name)),
  formats: formats.filter((name) => options.format.includes(name)),
  out: options.out,
  release: releaseOf(options.revision),
  level: options.level,
  onMade: (path) => console.log(`${(statSync(path).size / 1e6).toFixed(1).padStart(6)} MB  ${path}`),
});
