import type { Identifiers } from "./identifiers.ts";

/** Of what EC2 imports and of what BIOS reads. */
export const sectorBytes = 512;
const mebibyte = 1024 * 1024;
const sectorsPerMebibyte = mebibyte / sectorBytes;

/** In sectors. */
export interface Extent {
  readonly start: number;
  readonly size: number;
}

export interface Layout {
  readonly diskBytes: number;
  readonly bios: Extent;
  readonly efi: Extent;
  readonly root: Extent;
}

const sizesMiB = { bios: 1, efi: 8 } as const;
/** EBS volumes are whole gibibytes, and a snapshot's volume is no smaller than the image. */
const diskUnitMiB = 1024;
/** Before the first partition, and behind the last for the copy of the table. */
const edgeMiB = 1;

/**
 * A place for GRUB's core where the PC's firmware finds it, one for UEFI, and the root last, so that it grows with the
 * volume. `filesBytes` is what the root holds; a fifth and 64 MiB more are for the file system itself and for a boot whose
 * root could not grow.
 */
export function layoutOf(filesBytes: number): Layout {
  const neededMiB = Math.ceil((filesBytes * 1.2) / mebibyte) + 64;
  const before = edgeMiB + sizesMiB.bios + sizesMiB.efi;
  const diskMiB = Math.ceil((before + neededMiB + edgeMiB) / diskUnitMiB) * diskUnitMiB;
  return {
    diskBytes: diskMiB * mebibyte,
    bios: extent(edgeMiB, sizesMiB.bios),
    efi: extent(edgeMiB + sizesMiB.bios, sizesMiB.efi),
    root: extent(before, diskMiB - before - edgeMiB),
  };
}

function extent(startMiB: number, sizeMiB: number): Extent {
  return { start: startMiB * sectorsPerMebibyte, size: sizeMiB * sectorsPerMebibyte };
}

/** What sfdisk(8) is told. The root is partition 1, and the others are 14 and 15, as in Debian's own images. */
export function partitionTable({ bios, efi, root }: Layout, ids: Identifiers): string {
  const line = (number: number, { start, size }: Extent, type: string, uuid: string, name: string) =>
    `${number} : start=${start}, size=${size}, type=${type}, uuid=${uuid}, name="${name}"`;
  return `${[
    "label: gpt",
    `label-id: ${ids.disk}`,
    line(1, root, types.root, ids.rootPartition, "root"),
    line(14, bios, types.bios, ids.biosPartition, "bios"),
    line(15, efi, types.efi, ids.efiPartition, "efi"),
  ].join("\n")}\n`;
}

/** https://uapi-group.org/specifications/specs/discoverable_partitions_specification/, and GRUB's manual for the second. */
const types = {
  root: "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709",
  bios: "21686148-6449-6E6F-744E-656564454649",
  efi: "C12A7328-F81F-11D2-BA4B-00A0C93EC93B",
} as const;
