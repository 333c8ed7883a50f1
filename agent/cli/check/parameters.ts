import { readFileSync } from "node:fs";
import { holdsCertificate } from "../../../protocol/node/ca-file.ts";
import type { ParametersResult } from "../../core/parameters.ts";
import { fail, type Line, ok } from "./line.ts";

/** A line for each problem of the parameter file. */
export function judgeParameters(path: string, result: ParametersResult): Line[] {
  if (result.ok) return [ok("parameters", `${path} is complete`)];
  return result.problems.map(({ field, value, problem, fix }) => {
    const quoted = value === "" ? "" : ` "${value}"`;
    const line = fail("parameters", `${field}${quoted} ${problem}`, fix);
    return { ...line, code: "parameters.invalid" };
  });
}

/** The pinned CA, when one is configured; a line only when it cannot be used. */
export function readCa(path: string | undefined): { ca: string | undefined; lines: Line[] } {
  if (path === undefined) return { ca: undefined, lines: [] };
  try {
    const ca = readFileSync(path, "utf8");
    if (holdsCertificate(ca)) return { ca, lines: [] };
    return {
      ca: undefined,
      lines: [
        fail("CA file", `${path} holds no certificate`, "Write the CA's certificate into it, in PEM form."),
      ],
    };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const action = "Correct `caFile` in enroll.yaml, and let the agent's user read the file.";
    return { ca: undefined, lines: [fail("CA file", `${path} cannot be read (${code})`, action)] };
  }
}
