// Makes a fresh machine ready: the npm packages (with the pinned Node among them) and, for tests, the Debian
// packages they drive. Plain JavaScript for Node 18 and newer, because it runs before the pinned Node is there.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = dirname(dirname(fileURLToPath(import.meta.url)));
/** By its package, not by node_modules/.bin: npm 10 installs the package without linking its command. */
export const pinnedNode = join(root, "node_modules", `node-linux-${process.arch}`, "bin", "node");

/** What the tests run for real, by the command that proves it is there. */
const debianPackages = {
  curl: "curl",
  openssl: "openssl",
  "cloud-init": "cloud-init",
  prlimit: "util-linux",
  ip: "iproute2",
  wg: "wireguard-tools",
  "wireguard-go": "wireguard-go",
  ping: "iputils-ping",
  iperf3: "iperf3",
  nft: "nftables",
  conntrack: "conntrack",
  dnsmasq: "dnsmasq-base",
  "systemd-analyze": "systemd",
  "systemd-nspawn": "systemd-container",
  mmdebstrap: "mmdebstrap",
  "dpkg-deb": "dpkg",
  rpmbuild: "rpm",
  lintian: "lintian",
  faketime: "faketime",
  // The programs of the arm64 package; 14 MB together.
  "qemu-aarch64": "qemu-user",
  "/usr/aarch64-linux-gnu/lib/libstdc++.so.6": "libstdc++6-arm64-cross",
  "/usr/aarch64-linux-gnu/lib/libatomic.so.1": "libatomic1-arm64-cross",
};

/** Installs the npm packages when the lock file is newer than what is installed. Exits with a reason on failure. */
export function setUpPackages() {
  const stamp = join(root, "node_modules", ".connector-setup");
  const wanted = createHash("sha256")
    .update(readFileSync(join(root, "package-lock.json")))
    .digest("hex");
  if (existsSync(pinnedNode) && existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) return;
  console.error("setup: installing npm packages (once)");
  // Not `npm ci`: it refuses a lock file that leaves out optional packages of platforms the registry does not carry.
  run("npm", ["install", "--no-save", "--no-audit", "--no-fund", "--loglevel=error"]);
  if (!existsSync(pinnedNode)) {
    fail(`no pinned Node for ${process.platform}-${process.arch}: linux on x64 or arm64 is supported`);
  }
  writeFileSync(stamp, wanted);
}

/**
 * Installs the Debian packages that tests need, or others, when root; otherwise names them and goes on (tests then skip).
 * Each by a command, or the path of a file, that proves it is there.
 *
 * @param {Readonly<Record<string, string>>} packages
 */
export function setUpDebianPackages(packages = debianPackages) {
  const missing = Object.entries(packages)
    .filter(([proof]) => (proof.startsWith("/") ? !existsSync(proof) : !onPath(proof)))
    .map(([, name]) => name);
  if (missing.length === 0) return;
  if (process.getuid?.() !== 0 || !onPath("apt-get")) {
    console.error(`setup: not installed, tests that need them are skipped: ${missing.join(" ")}`);
    return;
  }
  console.error(`setup: installing Debian packages (once): ${missing.join(" ")}`);
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  run("apt-get", ["update", "-qq"], env);
  run("apt-get", ["install", "-qq", "-y", "--no-install-recommends", ...missing], env);
}

function onPath(command) {
  return (process.env.PATH ?? "").split(":").some((folder) => folder && existsSync(join(folder, command)));
}

function run(command, args, env = process.env) {
  const result = spawnSync(command, args, {
    cwd: root,
    stdio: ["ignore", "ignore", "pipe"],
    env,
    encoding: "utf8",
  });
  if (result.status !== 0)
    fail(`${command} ${args.join(" ")} failed\n${result.stderr || result.error || ""}`);
}

function fail(reason) {
  console.error(`setup: ${reason}`);
  process.exit(1);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  setUpPackages();
  setUpDebianPackages();
}
