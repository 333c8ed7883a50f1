import { release, type } from "node:os";
import { readFileIfThere } from "../../protocol/node/files.ts";

/** `Debian GNU/Linux 13 (trixie)` where the system says so (os-release(5)), otherwise the kernel's name and release. */
export function hostOs(osRelease = "/etc/os-release"): string {
  const pretty = /^PRETTY_NAME="?([^"\n]+)"?$/m.exec(readFileIfThere(osRelease) ?? "")?.[1];
  return (pretty ?? `${type()} ${release()}`).slice(0, 64);
}
