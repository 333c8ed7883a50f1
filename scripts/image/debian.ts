import { execFileSync } from "node:child_process";

export const suite = "trixie";
const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";

/** What is in the image besides Debian's essential packages and the connector's own with what that needs. */
const packages = [
  "systemd-sysv",
  "udev",
  "dbus",
  "linux-image-cloud-amd64",
  "initramfs-tools",
  "zstd",
  "e2fsprogs",
  "cloud-init",
  // growpart, and what it calls.
  "cloud-guest-utils",
  "fdisk",
  // cloud-init asks for an address before it has asked for the network's configuration.
  "dhcpcd-base",
  "systemd-resolved",
  "chrony",
  "ca-certificates",
  // For whoever looks at an instance from its serial console.
  "procps",
  "less",
] as const;

/** Size without use on a machine that nobody works at. Licences stay. */
const left = [
  "path-exclude=/usr/share/man/*",
  "path-exclude=/usr/share/locale/*",
  "path-exclude=/usr/share/info/*",
  "path-exclude=/usr/share/i18n/*",
  "path-exclude=/usr/share/doc/*",
  "path-include=/usr/share/doc/*/copyright",
] as const;

export interface Mirrors {
  readonly debian: string;
  readonly security: string;
}

/** Where the machine that builds has its own Debian from. @throws Error when it has none. */
export function mirrorsOfThisMachine(): Mirrors {
  const known = mirrorsIn(indexTargets());
  if (known !== undefined) return known;
  // What a mirror is called is in its lists, which a fresh machine has not fetched yet.
  execFileSync("apt-get", ["update", "-qq"], { stdio: ["ignore", "ignore", "inherit"] });
  const fetched = mirrorsIn(indexTargets());
  if (fetched === undefined)
    throw new Error("apt-get indextargets shows no Debian mirror: say --mirror and --security-mirror");
  return fetched;
}

function indexTargets(): string {
  const format = "$(REPO_URI) $(LABEL)";
  const options = ["--format", format, "Created-By: Packages"];
  return execFileSync("apt-get", ["indextargets", ...options], { encoding: "utf8" });
}

/** Pure: lines of URI and label. */
export function mirrorsIn(targets: string): Mirrors | undefined {
  const of = (label: string) => {
    return targets
      .split("\n")
      .map((line) => /^(\S+) (.*)$/.exec(line))
      .find((match) => match?.[2] === label)?.[1];
  };
  const debian = of("Debian");
  const security = of("Debian-Security");
  return debian === undefined || security === undefined ? undefined : { debian, security };
}

export interface Bootstrap {
  readonly mirrors: Mirrors;
  readonly deb: string;
  /** Files of the image, laid before any package is unpacked. */
  readonly files: string;
  readonly finish: string;
  readonly further: readonly string[];
  readonly root: string;
}

/** The command line that makes the root folder. Pure. */
export function bootstrapCommand({
  mirrors,
  deb,
  files,
  finish,
  further,
  root,
}: Bootstrap): [string, ...string[]] {
  const source = (uri: string, name: string) => `deb [signed-by=${keyring}] ${uri} ${name} main`;
  return [
    "mmdebstrap",
    "--variant=minbase",
    "--mode=root",
    "--format=directory",
    `--include=${[...packages, ...further].join(",")}`,
    '--aptopt=Acquire::Languages "none"',
    '--aptopt=APT::Install-Recommends "false"',
    // What is there already, from `files`, is what is wanted.
    "--dpkgopt=force-confold",
    ...left.map((option) => `--dpkgopt=${option}`),
    `--setup-hook=cp -a ${quoted(files)}/. "$1"`,
    `--customize-hook=cp ${quoted(deb)} "$1/connector.deb"`,
    `--customize-hook=cp ${quoted(finish)} "$1/finish" && chroot "$1" /finish && rm "$1/finish"`,
    suite,
    root,
    source(mirrors.debian, suite),
    source(mirrors.debian, `${suite}-updates`),
    source(mirrors.security, `${suite}-security`),
  ];
}

function quoted(path: string): string {
  return `'${path.replaceAll("'", "'\\''")}'`;
}
