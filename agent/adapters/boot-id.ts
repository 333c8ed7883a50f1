import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";

/** Tells one boot of this host from another. Where the kernel does not say, each process counts as a boot of its own. */
export function readBootId(): string {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  } catch {
    return randomUUID();
  }
}
