import { statSync } from "node:fs";

/** Where cloud-init leaves the parameters, on tmpfs, and where the service keeps them for later boots and for whoever edits them. */
const bootFile = "/run/connector-boot/enroll.yaml";
const keptFile = "/etc/connector/enroll.yaml";

/** The file to read where nobody names one: the one that counts, or the first to write. */
export function defaultParametersFile(): string {
  return thatCounts(bootFile, keptFile) ?? bootFile;
}

/**
 * As systemd/take-parameters has it: what cloud-init left is kept unless the kept file is newer. An operator who corrected
 * that one is told of it, and not of what it was before.
 */
export function thatCounts(boot: string, kept: string): string | undefined {
  const [bootMs, keptMs] = [changedAtMs(boot), changedAtMs(kept)];
  if (keptMs === undefined) return bootMs === undefined ? undefined : boot;
  return bootMs !== undefined && bootMs > keptMs ? boot : kept;
}

/** Undefined also where it may not be looked at. */
function changedAtMs(path: string): number | undefined {
  try {
    return statSync(path).mtimeMs;
  } catch {
    return undefined;
  }
}
