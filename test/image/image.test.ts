import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { isInstalled } from "../../lab/vpc/obstacle.ts";
import { bootSectorOf, coreAt } from "../../scripts/image/bios-boot.ts";
import { bootstrapCommand, mirrorsIn } from "../../scripts/image/debian.ts";
import { identifiersOf } from "../../scripts/image/identifiers.ts";
import { layoutOf, partitionTable, sectorBytes } from "../../scripts/image/layout.ts";
import { layFiles } from "../../scripts/image/tree.ts";
import { root } from "../../scripts/package/release.ts";

const mebibyte = 1024 * 1024;

describe("what makes a disk its own", () => {
  test("UUIDs of RFC 9562's version 8, all different, the same for the same seed", () => {
    const { efiVolume, ...uuids } = identifiersOf("1.0.0 1700000000");
    for (const uuid of Object.values(uuids)) {
      expect(uuid).toMatch(/^[\da-f]{8}-[\da-f]{4}-8[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/);
    }
    expect(efiVolume).toMatch(/^[\da-f]{8}$/);
    expect(new Set(Object.values(uuids)).size).toBe(6);
    expect(identifiersOf("1.0.0 1700000000")).toEqual({ efiVolume, ...uuids });
    expect(identifiersOf("1.0.0 1700000001").disk).not.toBe(uuids.disk);
  });
});

describe("the disk's layout", () => {
  test.each([1, 400 * mebibyte, 700 * mebibyte, 790 * mebibyte, 3000 * mebibyte])("for %d bytes", (bytes) => {
    const { diskBytes, bios, efi, root: last } = layoutOf(bytes);
    expect(diskBytes % (1024 * mebibyte)).toBe(0);
    for (const { start, size } of [bios, efi, last]) expect([start % 2048, size % 2048]).toEqual([0, 0]);
    expect(bios.start).toBe(2048);
    expect(efi.start).toBe(bios.start + bios.size);
    expect(last.start).toBe(efi.start + efi.size);
    // Behind the root is the table's copy, 33 sectors.
    expect(last.start + last.size).toBeLessThanOrEqual(diskBytes / sectorBytes - 33);
    expect(last.size * sectorBytes).toBeGreaterThan(bytes * 1.2);
  });

  test.skipIf(!isInstalled("sfdisk"))("is what sfdisk makes of it, twice the same bytes", () => {
    const folder = mkdtempSync(join(tmpdir(), "connector-layout-"));
    try {
      const layout = layoutOf(400 * mebibyte);
      const heads = ["one", "two"].map((name) => {
        const disk = join(folder, name);
        writeFileSync(disk, "");
        truncateSync(disk, layout.diskBytes);
        execFileSync("sfdisk", ["--quiet", disk], { input: partitionTable(layout, identifiersOf("seed")) });
        return execFileSync("head", ["-c", String(mebibyte), disk]).toString("base64");
      });
      expect(heads[0]).toBe(heads[1]);
      const shown = JSON.parse(execFileSync("sfdisk", ["--json", join(folder, "one")], { encoding: "utf8" }));
      const rows = shown.partitiontable.partitions.map(
        (one: { name: string; start: number; size: number }) => {
          return [one.name, { start: one.start, size: one.size }];
        },
      );
      const { bios, efi, root: last } = layout;
      expect(Object.fromEntries(rows)).toEqual({ root: last, bios, efi });
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

describe("what BIOS loads", () => {
  const place = { start: 2048, size: 2048 };

  test("the boot sector keeps the table's part, and knows where the core is", () => {
    const sector = bootSectorOf(new Uint8Array(512).fill(0xaa), new Uint8Array(512).fill(0x11), place);
    expect(sector.subarray(0x1b8)).toEqual(Buffer.alloc(512 - 0x1b8, 0xaa));
    expect(sector.readBigUInt64LE(0x5c)).toBe(2048n);
    expect(sector.readUInt16LE(0x66)).toBe(0x9090);
    expect(sector[0x1b7]).toBe(0x11);
  });

  test("the core is whole sectors, and its first says where the others are and how many", () => {
    const core = coreAt(new Uint8Array(3 * 512 + 1).fill(0x22), place);
    expect(core.length).toBe(4 * 512);
    expect(core.readBigUInt64LE(500)).toBe(2049n);
    expect(core.readUInt16LE(508)).toBe(3);
    // The segment is grub-mkimage's.
    expect(core.readUInt16LE(510)).toBe(0x2222);
    expect(() => coreAt(new Uint8Array(2049 * 512), place)).toThrow("GRUB's core has 2049 sectors");
  });
});

describe("Debian", () => {
  test("the mirrors are this machine's, by what apt calls them", () => {
    const targets =
      "http://one/debian/ Debian\nhttp://two/tools/ Other\nhttp://one/security/ Debian-Security\n";
    expect(mirrorsIn(targets)).toEqual({ debian: "http://one/debian/", security: "http://one/security/" });
    expect(mirrorsIn("http://one/debian/ Debian\n")).toBeUndefined();
    expect(mirrorsIn("")).toBeUndefined();
  });

  test("a path with a blank and a quote stays one word of the hooks' shell", () => {
    const command = bootstrapCommand({
      mirrors: { debian: "http://one/debian", security: "http://one/security" },
      deb: "/tmp/it's here/connector.deb",
      files: "/files",
      finish: "/finish.sh",
      further: ["openssh-server"],
      root: "/root folder",
    });
    const hook = command.find((word) => word.includes("connector.deb"));
    expect(hook).toBe(`--customize-hook=cp '/tmp/it'\\''s here/connector.deb' "$1/connector.deb"`);
    expect(command.find((word) => word.startsWith("--include="))).toMatch(/,openssh-server$/);
    expect(command.slice(-5, -3)).toEqual(["trixie", "/root folder"]);
  });
});

describe("the image's files", () => {
  test("name the root by its UUID, and hold no password and no mirror", () => {
    const folder = mkdtempSync(join(tmpdir(), "connector-files-"));
    try {
      const ids = identifiersOf("seed");
      layFiles(folder, ids);
      for (const path of ["etc/fstab", "boot/grub/grub.cfg"]) {
        const text = readFileSync(join(folder, path), "utf8");
        expect(text).toContain(`UUID=${ids.rootFileSystem}`);
        expect(text).not.toContain("@ROOT@");
      }
      const settings = parse(readFileSync(join(folder, "etc/cloud/cloud.cfg.d/90-connector.cfg"), "utf8"));
      expect(settings).toMatchObject({ datasource_list: ["Ec2"], ssh_pwauth: false });
      expect(settings.system_info.default_user).toMatchObject({ lock_passwd: true, sudo: null });
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

describe("scripts/register-image.sh", () => {
  const register = (...args: string[]) => {
    return spawnSync("sh", [join(root, "scripts/register-image.sh"), ...args], { encoding: "utf8" });
  };
  const where = ["--bucket", "images", "--name", "connector 0.1.0", "--region", "eu-central-1"];

  test("--dry-run prints every command with the answers of those before, and runs none", () => {
    const { status, stdout, stderr } = register("--dry-run", ...where, "dist/connector.raw");
    expect([status, stdout]).toEqual([0, "ami-IMAGE\n"]);
    const commands = stderr.trimEnd().split("\n");
    expect(commands.map((line) => line.split(" ").slice(0, 3).join(" "))).toEqual([
      "aws s3 cp",
      "aws ec2 import-snapshot",
      "aws ec2 describe-import-snapshot-tasks",
      "aws ec2 describe-import-snapshot-tasks",
      "aws ec2 register-image",
    ]);
    expect(commands.every((line) => line.includes("--region eu-central-1"))).toBe(true);
    expect(commands[4]).toMatch(
      /--ena-support --boot-mode uefi-preferred --imds-support v2\.0 .*SnapshotId=snap-SNAPSHOT/,
    );
  });

  test("says what is wrong before anything is uploaded", () => {
    expect(register("--dry-run", "--bucket", "images", "x.raw")).toMatchObject({ status: 64 });
    expect(register("--dry-run", ...where, "one", "two")).toMatchObject({ status: 64 });
    expect(register("--dry-run", ...where, "--name", "a,b", "x.raw").stderr).toContain("--name takes");
    expect(register(...where, "/nowhere.raw")).toMatchObject({ status: 66 });
  });
});
