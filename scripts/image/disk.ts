import { execFileSync } from "node:child_process";
import {
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { bootSectorOf, coreAt } from "./bios-boot.ts";
import type { Identifiers } from "./identifiers.ts";
import { type Extent, type Layout, partitionTable, sectorBytes } from "./layout.ts";

export interface DiskOptions {
  readonly layout: Layout;
  readonly ids: Identifiers;
  /** Every time in the file systems: seconds since 1970. */
  readonly epoch: number;
  /** What the root file system holds. */
  readonly root: string;
  readonly work: string;
  readonly out: string;
}

/** Writes the disk image, sparse. No block device, no mount: the parts are made as files and put where they belong. */
export function makeDisk(options: DiskOptions): void {
  const { layout, ids, work, out } = options;
  mkdirSync(work, { recursive: true });
  writeFileSync(out, "");
  truncateSync(out, layout.diskBytes);
  execFileSync("sfdisk", ["--quiet", out], { input: partitionTable(layout, ids) });
  copyInto(out, makeRoot(options), layout.root);
  copyInto(out, makeEfi(options), layout.efi);
  placeBiosBoot(options);
}

/**
 * By the mke2fs of the image itself, which takes all times from SOURCE_DATE_EPOCH. Without the two features that GRUB 2.06
 * of Debian 12 does not read.
 */
function makeRoot({ layout, ids, epoch, root, work }: DiskOptions): string {
  const file = join(work, "root.ext4");
  const features = "^metadata_csum_seed,^orphan_file";
  const options = [
    "-q",
    "-F",
    "-t",
    "ext4",
    "-m",
    "1",
    "-L",
    "root",
    "-O",
    features,
    "-U",
    ids.rootFileSystem,
  ];
  const extended = `hash_seed=${ids.hashSeed},lazy_itable_init=0,lazy_journal_init=0,nodiscard`;
  const size = `${(layout.root.size * sectorBytes) / 1024}k`;
  const library = join(root, "usr/lib/x86_64-linux-gnu");
  const program = [
    join(root, "lib64/ld-linux-x86-64.so.2"),
    "--library-path",
    library,
    join(root, "usr/sbin/mke2fs"),
  ];
  run([...program, ...options, "-E", extended, "-d", root, file, size], epoch);
  return file;
}

function makeEfi({ layout, ids, epoch, work }: DiskOptions): string {
  const loader = grubImage("x86_64-efi", ["fat"], ids, work);
  const file = join(work, "efi.vfat");
  const kibibytes = String((layout.efi.size * sectorBytes) / 1024);
  run(
    ["mkfs.vfat", "--invariant", "-C", "-F", "12", "-i", ids.efiVolume, "-n", "EFI", file, kibibytes],
    epoch,
  );
  run(["mmd", "-i", file, "::/EFI", "::/EFI/BOOT"], epoch);
  // Its time is the copy's.
  run(["touch", "-d", `@${epoch}`, loader], epoch);
  // Where firmware looks that was told nothing.
  run(["mcopy", "-m", "-i", file, loader, "::/EFI/BOOT/BOOTX64.EFI"], epoch);
  return file;
}

function placeBiosBoot({ layout, ids, work, out }: DiskOptions): void {
  const core = readFileSync(grubImage("i386-pc", ["biosdisk"], ids, work));
  const boot = readFileSync("/usr/lib/grub/i386-pc/boot.img");
  const disk = openSync(out, "r+");
  try {
    const table = Buffer.alloc(sectorBytes);
    readSync(disk, table, 0, sectorBytes, 0);
    writeSync(disk, bootSectorOf(table, boot, layout.bios), 0, sectorBytes, 0);
    const placed = coreAt(core, layout.bios);
    writeSync(disk, placed, 0, placed.length, layout.bios.start * sectorBytes);
  } finally {
    closeSync(disk);
  }
}

/** GRUB with all that it needs inside, so that the image has none of its modules and nothing to install. */
function grubImage(
  format: "i386-pc" | "x86_64-efi",
  further: readonly string[],
  ids: Identifiers,
  work: string,
): string {
  const file = join(work, `grub-${format}`);
  const config = join(work, "grub-early.cfg");
  writeFileSync(
    config,
    `search --no-floppy --fs-uuid --set=root ${ids.rootFileSystem}\nset prefix=($root)/boot/grub\n`,
  );
  const modules = [
    "part_gpt",
    "ext2",
    "search",
    "search_fs_uuid",
    "normal",
    "configfile",
    "linux",
    "serial",
    "terminal",
  ];
  const folder = `/usr/lib/grub/${format}`;
  const options = ["-O", format, "-d", folder, "-p", "/boot/grub", "-c", config, "-o", file];
  execFileSync("grub-mkimage", [...options, ...modules, ...further]);
  return file;
}

/** Zeroes stay holes. */
function copyInto(disk: string, part: string, { start }: Extent): void {
  const where = [`bs=${1024 * 1024}`, `seek=${(start * sectorBytes) / (1024 * 1024)}`];
  execFileSync("dd", [`if=${part}`, `of=${disk}`, ...where, "conv=notrunc,sparse", "status=none"]);
}

function run([program, ...args]: readonly string[], epoch: number): void {
  if (program === undefined) return;
  execFileSync(program, args, {
    env: { ...process.env, SOURCE_DATE_EPOCH: String(epoch), TZ: "UTC" },
    stdio: ["ignore", "ignore", "inherit"],
  });
}
