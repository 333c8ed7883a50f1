import { accessSync, constants } from "node:fs";
import { join } from "node:path";
import { failed, type Result, success } from "../../../../protocol/failures.ts";
import { commandRunner, type Run } from "../../../../protocol/node/command.ts";

/** Where the tools of the data path are; a user's own PATH often lacks these, the agent's unit has them. */
const systemFolders = ["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/local/bin", "/usr/bin", "/bin"];

/** The file of a command as the agent would find it; undefined when it is not installed. */
export function findCommand(name: string, path = process.env.PATH ?? ""): string | undefined {
  const folders = [...path.split(":").filter((folder) => folder.startsWith("/")), ...systemFolders];
  return folders.map((folder) => join(folder, name)).find(isExecutable);
}

/** Runs commands as the agent would find them, whoever asks. */
export function hostRunner(): Run {
  const run = commandRunner();
  return ([name = "", ...args], options) => run([findCommand(name) ?? name, ...args], options);
}

/** What a program says its version is; `installed` for one that says something else. Fails where it cannot be run. */
export async function versionOf(
  run: Run,
  command: readonly string[],
  pattern: RegExp,
): Promise<Result<string>> {
  const answer = await run(command);
  if (!answer.ok) return answer;
  const found = pattern.exec(answer.value)?.[1];
  if (found !== undefined) return success(found);
  // There, and no more is asked of it.
  if (answer.value !== "") return success("installed");
  return failed("datapath.failing", { command: command.join(" "), error: "says nothing" });
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
