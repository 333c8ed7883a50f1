import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { root } from "../package/release.ts";
import type { Identifiers } from "./identifiers.ts";

/** The files of the image that no package brings, in a folder of their own. */
export function layFiles(folder: string, ids: Identifiers): void {
  cpSync(join(root, "scripts/image/files"), folder, { recursive: true });
  const settings = join(folder, "etc/cloud/cloud.cfg.d/90-connector.cfg");
  mkdirSync(dirname(settings), { recursive: true });
  cpSync(join(root, "cloud-init/90-connector.cfg"), settings);
  for (const path of ["etc/fstab", "boot/grub/grub.cfg"]) {
    const file = join(folder, path);
    writeFileSync(file, readFileSync(file, "utf8").replaceAll("@ROOT@", ids.rootFileSystem));
  }
}
