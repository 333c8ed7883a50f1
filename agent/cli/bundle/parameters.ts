import { loadParameters } from "../../adapters/parameters.ts";
import type { Environment } from "../../core/parameters.ts";
import type { Part } from "./gather.ts";

/** The parameters as the agent reads them: known fields only, so that nothing else in the file gets into a bundle. */
export function gatherParameters(
  path: string,
  env: Environment,
): { part: Part; otpFile: string | undefined } {
  const result = loadParameters(path, env);
  const text = JSON.stringify(result.ok ? result.value : { problems: result.problems }, null, 2);
  return {
    part: { name: "parameters.json", what: "the parameters, checked", content: { is: "text", text } },
    otpFile: result.ok ? result.value.otpFile : undefined,
  };
}
