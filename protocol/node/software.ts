import { readFileSync } from "node:fs";

/** The version of this software: one for all parts. */
export const softwareVersion = versionIn(
  readFileSync(new URL("../../package.json", import.meta.url), "utf8"),
);

function versionIn(packageJson: string): string {
  return (JSON.parse(packageJson) as { version: string }).version;
}
