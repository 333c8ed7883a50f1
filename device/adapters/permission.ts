import { readFileIfThere } from "../../protocol/node/files.ts";

/** capabilities(7), linux/capability.h */
const capNetAdmin = 12n;

/** Whether this process may make interfaces and routes. */
export function mayConfigureNetwork(status = "/proc/self/status"): boolean {
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileIfThere(status) ?? "")?.[1];
  return effective !== undefined && ((BigInt(`0x${effective}`) >> capNetAdmin) & 1n) === 1n;
}
