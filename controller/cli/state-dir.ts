import { accessSync, constants } from "node:fs";
import { makeFolder } from "../../protocol/node/files.ts";

/** Makes the folder when it is missing. Why it cannot be used, as the system names it; undefined when it can. */
export function stateDirProblem(stateDir: string): string | undefined {
  try {
    makeFolder(stateDir);
    accessSync(stateDir, constants.W_OK | constants.X_OK);
    return undefined;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error);
  }
}
