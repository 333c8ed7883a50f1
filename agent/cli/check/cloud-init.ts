import { readFileSync } from "node:fs";
import { Failure } from "../../../protocol/failures.ts";
import { type Line, lineOf, ok, warn } from "./line.ts";

/** https://docs.cloud-init.io/en/latest/explanation/return_codes.html: written at the end of each boot. */
const resultFile = "/var/lib/cloud/data/result.json";

export interface CloudInitSeen {
  /** As `DataSourceEc2Local`; "" where it does not say. */
  readonly datasource: string;
  readonly errors: readonly string[];
}

/** What cloud-init made of this boot; undefined where there is no cloud-init, or it has not ended yet. */
export function lookAtCloudInit(path = resultFile): CloudInitSeen | undefined {
  try {
    const { v1 } = JSON.parse(readFileSync(path, "utf8")) as {
      v1?: { datasource?: unknown; errors?: unknown };
    };
    const errors = Array.isArray(v1?.errors) ? v1.errors.map(String) : [];
    return { datasource: typeof v1?.datasource === "string" ? v1.datasource : "", errors };
  } catch {
    return undefined;
  }
}

/** `hasUserData` is undefined when the metadata service did not tell. */
export function judgeCloudInit(seen: CloudInitSeen | undefined, hasUserData: boolean | undefined): Line[] {
  if (seen === undefined) return [];
  const { datasource, errors } = seen;
  if (datasource.startsWith("DataSourceNone") && hasUserData === true) {
    return [lineOf("cloud-init", new Failure("parameters.no-datasource", { datasource }))];
  }
  const [first] = errors;
  if (first !== undefined) {
    const text = `cloud-init had ${errors.length === 1 ? "an error" : `${errors.length} errors`}: ${first.slice(0, 200)}`;
    return [
      warn(
        "cloud-init",
        text,
        "See `cloud-init status --long`; `cloud-init schema --system` looks at the user-data.",
      ),
    ];
  }
  return [ok("cloud-init", datasource === "" ? "has ended" : `took its data from ${datasource}`)];
}
