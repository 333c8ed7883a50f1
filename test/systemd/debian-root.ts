import { execFile, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { cacheFolder } from "../../scripts/package/runtime.ts";

const exec = promisify(execFile);

/** What an instance's host has, besides systemd: what the packages depend on, and what installs the .rpm. */
const common = [
  "systemd",
  "systemd-sysv",
  "nftables",
  "conntrack",
  "dnsmasq-base",
  "iproute2",
  "wireguard-tools",
  "wireguard-go",
  "kmod",
  "rpm",
] as const;

/** The one that stands for the machine image has its cloud-init, which sleeps where no data source is named. */
const packagesOf = { trixie: [...common, "cloud-init"], bookworm: common } as const;

export type Suite = keyof typeof packagesOf;

/** Why no Debian can be booted here; undefined when it can. */
export const noDebian: string | undefined = whyNoDebian();

/**
 * A Debian in a folder, to be booted and not to be changed: 280 MB at most, made once in less than a minute and kept in the user's cache.
 * trixie has systemd 257; bookworm has 252, as Amazon Linux 2023 has.
 */
export async function debianRoot(suite: Suite): Promise<string> {
  const packages = packagesOf[suite];
  const mark = createHash("sha256").update(packages.join()).digest("hex").slice(0, 8);
  const roots = join(cacheFolder(), "roots");
  const root = join(roots, `${suite}-${mark}`);
  if (existsSync(root)) return root;
  mkdirSync(roots, { recursive: true });
  const work = mkdtempSync(join(roots, ".making-"));
  try {
    const without = "--dpkgopt=path-exclude=/usr/share/{doc,locale,man,info}/*";
    const include = `--include=${packages.join()}`;
    const options = ["--quiet", "--variant=apt", without, include, suite, join(work, "root")];
    // Of test processes that want the same one, the first makes it and the others wait.
    const script = `test -d "$0" || { mmdebstrap "$@"; mv "${work}/root" "$0"; }`;
    const locked = [join(roots, `.${suite}.lock`), "sh", "-ec", script, root];
    await exec("flock", [...locked, ...options], { timeout: 300_000 });
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return root;
}

function whyNoDebian(): string | undefined {
  if (process.getuid?.() !== 0) return "booting a systemd needs root";
  const missing = ["systemd-nspawn", "mmdebstrap", "nsenter"].filter((tool) => {
    return spawnSync("sh", ["-c", `command -v ${tool}`]).status !== 0;
  });
  return missing.length === 0 ? undefined : `not installed: ${missing.join(", ")}`;
}
