import { existsSync } from "node:fs";

/** Where cloud-init leaves the parameters, on tmpfs, and where the service keeps them for later boots. */
const parameterFiles = ["/run/connector-boot/enroll.yaml", "/etc/connector/enroll.yaml"] as const;

/** The file to read where nobody names one: the first that is there, or the first to write. */
export function defaultParametersFile(): string {
  const [first] = parameterFiles;
  return parameterFiles.find((path) => existsSync(path)) ?? first;
}
