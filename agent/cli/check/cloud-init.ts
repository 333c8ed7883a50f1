import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { Failure } from "../../../protocol/failures.ts";
import { type Line, lineOf, ok, warn } from "./line.ts";

/** https://docs.cloud-init.io/en/latest/explanation/return_codes.html: written at the end of each boot. */
const resultFile = "/var/lib/cloud/data/result.json";

export interface CloudInitSeen {
  /** As `DataSourceEc2Local`; "" where it does not say. */
  readonly datasource: string;
  /** With what it went on in spite of, as user-data that is no YAML: that is no error to it. */
  readonly errors: readonly string[];
}

/** What cloud-init made of this boot; undefined where there is no cloud-init, or it has not ended yet. */
export function lookAtCloudInit(path = resultFile): CloudInitSeen | undefined {
  const result = readV1(path);
  if (result === undefined) return undefined;
  const { datasource, errors } = result;
  return {
    datasource: typeof datasource === "string" ? datasource : "",
    errors: [...texts(errors), ...recoverableErrors(join(dirname(path), "status.json"))],
  };
}

/** Stages of `status.json` have them by severity, since 23.4. What is deprecated is not worth a look here. */
function recoverableErrors(path: string): string[] {
  const found = Object.values(readV1(path) ?? {}).flatMap((stage) => {
    const bySeverity = (stage as { recoverable_errors?: Record<string, unknown> } | null)?.recoverable_errors;
    return ["CRITICAL", "ERROR", "WARNING"].flatMap((severity) => texts(bySeverity?.[severity]));
  });
  return [...new Set(found)];
}

function readV1(path: string): Readonly<Record<string, unknown>> | undefined {
  try {
    return (JSON.parse(readFileSync(path, "utf8")) as { v1?: Record<string, unknown> }).v1 ?? {};
  } catch {
    return undefined;
  }
}

function texts(value: unknown): string[] {
  return Array.isArray(value) ? value.map(String) : [];
}

/** `hasUserData` is undefined when the metadata service did not tell. */
export function judgeCloudInit(seen: CloudInitSeen | undefined, hasUserData: boolean | undefined): Line[] {
  if (seen === undefined) return [];
  const { datasource, errors } = seen;
  if (datasource.startsWith("DataSourceNone") && hasUserData === true) {
    return [lineOf("cloud-init", new Failure("parameters.no-datasource", { datasource }))];
  }
  // They come in any order, and what followed from a mistake does not name its place.
  const worst = errors.find((error) => placeOfMistake.test(error)) ?? errors[0];
  if (worst !== undefined) {
    const count = errors.length === 1 ? "an error" : `${errors.length} errors`;
    const text = `cloud-init had ${count}: ${withoutSnippet(worst).slice(0, 200)}`;
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

const placeOfMistake = /(line \d+,? column \d+):[\s\S]*$/;

/** After the place PyYAML shows the line itself, and an OTP may be in it. */
function withoutSnippet(error: string): string {
  return error.replace(placeOfMistake, "$1").replaceAll(/\s+/g, " ");
}
