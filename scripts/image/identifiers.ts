import { createHash } from "node:crypto";

/** What makes one disk another than the next, if it were left to chance. */
export interface Identifiers {
  readonly disk: string;
  readonly biosPartition: string;
  readonly efiPartition: string;
  readonly rootPartition: string;
  readonly rootFileSystem: string;
  /** Of the directories of ext4. */
  readonly hashSeed: string;
  /** Of FAT: eight hexadecimal digits. */
  readonly efiVolume: string;
}

/** The same for the same seed. Instances of one image have them in common, which is fine: EC2 does not look at them. */
export function identifiersOf(seed: string): Identifiers {
  return {
    disk: uuidOf(seed, "disk"),
    biosPartition: uuidOf(seed, "bios partition"),
    efiPartition: uuidOf(seed, "efi partition"),
    rootPartition: uuidOf(seed, "root partition"),
    rootFileSystem: uuidOf(seed, "root file system"),
    hashSeed: uuidOf(seed, "hash seed"),
    efiVolume: digest(seed, "efi volume").slice(0, 8),
  };
}

/** RFC 9562, version 8: the bits are the maker's own. */
function uuidOf(seed: string, what: string): string {
  const hex = digest(seed, what);
  const variant = "89ab".charAt(Number.parseInt(hex.charAt(16), 16) & 3);
  const [a, b, c, d, e] = [0, 8, 13, 17, 20].map((at, index) =>
    hex.slice(at, at + ([8, 4, 3, 3, 12][index] ?? 0)),
  );
  return `${a}-${b}-8${c}-${variant}${d}-${e}`;
}

function digest(seed: string, what: string): string {
  return createHash("sha256").update(`${seed}\n${what}`).digest("hex");
}
