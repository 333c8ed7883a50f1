import { spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";

/** A disk in memory, mounted at `parent/name`; undefined where this process may not mount. */
export function mountTmpfs(
  parent: string,
  options: string,
  name = "disk",
): (Disposable & { readonly path: string }) | undefined {
  const path = join(parent, name);
  mkdirSync(path, { recursive: true });
  const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", options, "tmpfs", path]);
  if (mounted.status !== 0) return undefined;
  return { path, [Symbol.dispose]: () => void spawnSync("umount", ["-l", path]) };
}
