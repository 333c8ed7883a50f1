import { readdirSync } from "node:fs";

/**
 * The ids of all processes that this one can see. None while it is out of descriptors: whoever looks for one to end it sees
 * whether that helped, and comes again.
 */
export function processIds(): number[] {
  try {
    return readdirSync("/proc")
      .map(Number)
      .filter((pid) => pid > 0);
  } catch {
    return [];
  }
}
