import { type Extent, sectorBytes } from "./layout.ts";

/**
 * What grub-bios-setup(8) does to a disk, done to bytes: it wants a block device, and a build wants neither one nor what
 * else is found on the machine. Offsets are GRUB's include/grub/i386/pc/boot.h.
 */
const bootSector = {
  /** Where the code ends and the partition table's own part of the sector begins. */
  codeEnd: 0x1b8,
  coreSector: 0x5c,
  driveCheck: 0x66,
} as const;
/** At the end of the core's first sector: where the rest is (8 bytes), how long (2), and where to (2, set by grub-mkimage). */
const blockList = { start: sectorBytes - 12, length: sectorBytes - 4 } as const;

/** The first sector of the disk: the table's, with the code that loads the core. */
export function bootSectorOf(table: Uint8Array, boot: Uint8Array, place: Extent): Buffer {
  const sector = Buffer.from(table);
  sector.set(boot.subarray(0, bootSector.codeEnd));
  sector.writeBigUInt64LE(BigInt(place.start), bootSector.coreSector);
  // Two NOPs: firmware that names the wrong drive is not believed.
  sector.writeUInt16LE(0x9090, bootSector.driveCheck);
  return sector;
}

/** The core, told where its second sector is. @throws RangeError when its partition has no room for it. */
export function coreAt(core: Uint8Array, place: Extent): Buffer {
  const sectors = Math.ceil(core.length / sectorBytes);
  if (sectors > place.size)
    throw new RangeError(`GRUB's core has ${sectors} sectors, its partition ${place.size}`);
  const placed = Buffer.alloc(sectors * sectorBytes);
  placed.set(core);
  placed.writeBigUInt64LE(BigInt(place.start + 1), blockList.start);
  placed.writeUInt16LE(sectors - 1, blockList.length);
  return placed;
}
