import { parseDocument } from "yaml";
import { holdsCertificate } from "../../protocol/node/ca-file.ts";
import { readFileIfThere } from "../../protocol/node/files.ts";
import type { ParametersResult } from "../core/parameters.ts";
import { type Environment, type ParameterProblem, readParameters } from "../core/parameters.ts";

/** A parameter file is a few hundred bytes. */
const fileCharsMax = 65_536;

/** Reads `enroll.yaml` and the environment. A missing file is a problem only where the environment does not replace it. */
export function loadParameters(path: string, env: Environment): ParametersResult {
  const file = readYaml(path);
  if (!file.ok) return { ok: false, problems: [file.problem] };
  const result = readParameters(file.value, env);
  if (result.ok) return withReadableCa(result);
  if (!file.isMissing) return result;
  const problem = "there is no such file";
  const fix = "write it with controller, ip and gateway (cloud-init write_files), or pass --parameters FILE";
  return { ok: false, problems: [{ field: "parameters", value: path, problem, fix }, ...result.problems] };
}

/** A pinned CA that cannot be read would leave no controller to trust. */
function withReadableCa(result: Extract<ParametersResult, { ok: true }>): ParametersResult {
  const { caFile } = result.value;
  if (caFile === undefined) return result;
  let problem: string | undefined;
  try {
    const text = readFileIfThere(caFile);
    if (text === undefined) problem = "there is no such file";
    else if (!holdsCertificate(text)) problem = "holds no certificate in PEM";
  } catch (error) {
    problem = `cannot be read: ${(error as NodeJS.ErrnoException).code ?? "unknown error"}`;
  }
  if (problem === undefined) return result;
  const fix = "write the path of a PEM file with the CA's certificate";
  return { ok: false, problems: [{ field: "caFile", value: caFile, problem, fix }] };
}

type Yaml =
  | { readonly ok: true; readonly value: unknown; readonly isMissing: boolean }
  | { readonly ok: false; readonly problem: ParameterProblem };

function readYaml(path: string): Yaml {
  let text: string | undefined;
  try {
    text = readFileIfThere(path);
  } catch (error) {
    const problem = `cannot be read: ${(error as NodeJS.ErrnoException).code ?? "unknown error"}`;
    return notRead(path, problem, "let the agent's user read it");
  }
  if (text === undefined) return { ok: true, value: undefined, isMissing: true };
  if (text.length > fileCharsMax) return notRead(path, "is too long", "write `field: value` lines only");
  const tab = text.split("\n").findIndex((line) => /^\s*\t/.test(line));
  if (tab >= 0)
    return notRead(path, `line ${tab + 1} begins with a tab`, "indent with spaces, as YAML wants it");
  // Plain values only: aliases multiply.
  const document = parseDocument(text, { schema: "core", version: "1.2", uniqueKeys: true });
  const [error] = document.errors;
  if (error !== undefined) {
    const line = error.linePos?.[0].line ?? 1;
    return notRead(path, `line ${line}: ${firstLine(error.message)}`, "write one `field: value` per line");
  }
  try {
    return { ok: true, value: document.toJS({ maxAliasCount: 0 }), isMissing: false };
  } catch {
    return notRead(path, "has aliases (*name)", "write each value where it belongs");
  }
}

function notRead(path: string, problem: string, fix: string): Yaml {
  return { ok: false, problem: { field: "parameters", value: path, problem, fix } };
}

/** Without the excerpt of the file that follows: the line may hold what is nobody's business. */
function firstLine(message: string): string {
  return (message.split("\n")[0] ?? "").replace(/ at line .*$/, "");
}
