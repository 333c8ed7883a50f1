import { accessSync, constants } from "node:fs";
import { join } from "node:path";
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

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
