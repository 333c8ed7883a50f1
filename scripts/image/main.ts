/** Builds the machine image: `npm run image -- --help`. */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, renameSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import yargs from "yargs";
import { makePackages } from "../package/make.ts";
import { products } from "../package/products.ts";
import { type Release, releaseOf, root } from "../package/release.ts";
import { setUpDebianPackages } from "../setup.mjs";
import { bootstrapCommand, mirrorsOfThisMachine } from "./debian.ts";
import { makeDisk } from "./disk.ts";
import { identifiersOf } from "./identifiers.ts";
import { layoutOf } from "./layout.ts";
import { layFiles } from "./tree.ts";

const tools = {
  mmdebstrap: "mmdebstrap",
  sfdisk: "fdisk",
  "mkfs.vfat": "dosfstools",
  mcopy: "mtools",
  "grub-mkimage": "grub-common",
  "/usr/lib/grub/i386-pc/boot.img": "grub-pc-bin",
  "/usr/lib/grub/x86_64-efi/linux.mod": "grub-efi-amd64-bin",
  "/usr/share/keyrings/debian-archive-keyring.gpg": "debian-archive-keyring",
} as const;

const purpose = [
  "$0\n\nBuilds the machine image of an instance, a raw disk for EC2: Debian 13 with the connector's package, and nothing that",
  "is one machine's own. As root on Debian 12 or later. Beside the disk is FILE.packages: what is in it. Two builds of one",
  "commit from one state of the mirrors are the same.",
].join(" ");

const release = releaseOf(1);
const values = await yargs(process.argv.slice(2))
  .scriptName("npm run image --")
  .usage(purpose)
  .option("out", {
    type: "string",
    requiresArg: true,
    default: join(root, `dist/image/connector-${release.version}-amd64.raw`),
    defaultDescription: "dist/image/connector-VERSION-amd64.raw",
    describe: "The raw disk",
  })
  .option("package", {
    type: "string",
    requiresArg: true,
    defaultDescription: "made first",
    describe: "The connector's .deb",
  })
  .option("include", {
    type: "string",
    array: true,
    requiresArg: true,
    describe: "Further Debian packages",
  })
  .option("mirror", {
    type: "string",
    requiresArg: true,
    defaultDescription: "this machine's own",
    describe: "Debian's archive, a URL",
  })
  .option("security-mirror", {
    type: "string",
    requiresArg: true,
    defaultDescription: "this machine's own",
    describe: "The same of security updates",
  })
  .example("$0", "in about a minute, to import into EC2")
  .example("$0 --include openssh-server", "one that can be looked into")
  .strict()
  .parseAsync();
if (process.getuid?.() !== 0) fail("it takes root: mmdebstrap changes its root");
if (process.arch !== "x64") fail("an amd64 image is built on amd64");
setUpDebianPackages(tools);

const startedAt = performance.now();
const { out } = values;
mkdirSync(dirname(out), { recursive: true });
const work = mkdtempSync(join(tmpdir(), "connector-image-"));
try {
  const ids = identifiersOf(`${release.version} ${release.epoch}`);
  const rootFolder = join(work, "root");
  const files = join(work, "files");
  layFiles(files, ids);
  const deb = values.package ?? (await step("package", () => makeDeb(work, release)));
  const given = { debian: values.mirror, security: values.securityMirror };
  const mirrors = { ...(given.debian && given.security ? {} : mirrorsOfThisMachine()), ...defined(given) };
  const command = bootstrapCommand({
    mirrors: mirrors as { debian: string; security: string },
    deb,
    files,
    finish: join(root, "scripts/image/finish.sh"),
    further: values.include ?? [],
    root: rootFolder,
  });
  await step("Debian", () => bootstrap(command, release.epoch));
  renameSync(join(rootFolder, "packages.txt"), `${out}.packages`);
  await step("disk", () => {
    settleTimes(rootFolder, release.epoch);
    const layout = layoutOf(bytesIn(rootFolder));
    makeDisk({ layout, ids, epoch: release.epoch, root: rootFolder, work: join(work, "parts"), out });
  });
} finally {
  rmSync(work, { recursive: true, force: true });
}
const { size, blocks } = statSync(out);
const seconds = ((performance.now() - startedAt) / 1000).toFixed(0);
console.log(
  `${(size / 2 ** 30).toFixed(0)} GiB, ${((blocks * 512) / 1e6).toFixed(0)} MB of it used, in ${seconds} s  ${out}`,
);

async function makeDeb(folder: string, of: Release): Promise<string> {
  const product = products.filter(({ name }) => name === "connector");
  const choice = { products: product, architectures: ["amd64"], formats: ["deb"] } as const;
  const made = await makePackages({ ...choice, release: of, level: 1, out: join(folder, "packages") });
  const deb = made.find((path) => path.endsWith(".deb"));
  if (deb === undefined) throw new Error("no .deb was made");
  return deb;
}

function bootstrap([program, ...args]: [string, ...string[]], epoch: number): void {
  const env = { ...process.env, SOURCE_DATE_EPOCH: String(epoch), LC_ALL: "C.UTF-8" };
  const result = spawnSync(program, args, {
    env,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
    maxBuffer: 2 ** 26,
  });
  if (result.status !== 0)
    fail(`${program} failed\n${result.stdout.slice(-2000)}\n${result.stderr.slice(-4000)}`);
}

/** What was written while building has no later time than the sources. */
function settleTimes(folder: string, epoch: number): void {
  execFileSync("find", [
    folder,
    "-xdev",
    "-newermt",
    `@${epoch}`,
    "-exec",
    "touch",
    "-h",
    "-d",
    `@${epoch}`,
    "{}",
    "+",
  ]);
}

/** On disk, in blocks of 4 KiB, each file by itself. */
function bytesIn(folder: string): number {
  return Number(execFileSync("du", ["-s", "-B1", folder], { encoding: "utf8" }).split("\t")[0]);
}

async function step<T>(name: string, work: () => T | Promise<T>): Promise<T> {
  const from = performance.now();
  const made = await work();
  console.log(`${((performance.now() - from) / 1000).toFixed(0).padStart(5)} s  ${name}`);
  return made;
}

function defined<T extends object>(of: T): Partial<T> {
  return Object.fromEntries(Object.entries(of).filter(([, value]) => value !== undefined)) as Partial<T>;
}

function fail(reason: string): never {
  console.error(`image: ${reason}`);
  process.exit(1);
}
