import { join } from "node:path";

const root = join(import.meta.dirname, "..");

/** The product's processes. */
export const scripts = {
  controller: join(root, "controller", "cli", "main.ts"),
  agent: join(root, "agent", "main.ts"),
  cli: join(root, "agent", "cli", "main.ts"),
  device: join(root, "device", "main.ts"),
} as const;
