import { commandRunner } from "../../protocol/node/command.ts";
import { ownerOf } from "../run-folder.ts";
import { must } from "./commands.ts";

const run = commandRunner();
const mark = "connector-vpc";
const ownedName = new RegExp(`^${mark}-(\\d+)-(\\d+)-`);

/**
 * Where a VPC's namespaces are called after the process that made them, by id and time of start: whoever finds one can
 * tell whether its owner still runs.
 */
export function namespaceNames(vpc: string): (part: string) => string {
  const owner = ownerOf(process.pid);
  if (owner === undefined) throw new Error("/proc does not show this process");
  return (part) => `${[mark, ...owner.split(" "), vpc].join("-")}.${part}`;
}

/** Removes the namespaces whose owners are no more. Returns their names. */
export async function removeLeftovers(): Promise<string[]> {
  const left = (await listNamespaces()).filter((name) => {
    const [, pid, startedAt] = ownedName.exec(name) ?? [];
    return pid !== undefined && ownerOf(Number(pid)) !== `${pid} ${startedAt}`;
  });
  await removeNamespaces(left);
  return left;
}

export async function listNamespaces(): Promise<string[]> {
  const listed = await must(["ip", "netns", "list"]);
  return listed.split("\n").flatMap((line) => line.split(" ")[0] || []);
}

/** Ends what still runs in them and removes them, with their interfaces, routes and rules. */
export async function removeNamespaces(names: readonly string[]): Promise<void> {
  await Promise.all(names.map(removeNamespace));
}

async function removeNamespace(name: string): Promise<void> {
  // A process keeps its namespace alive without the name: wireguard-go, say, whose agent was killed.
  const pids = await run(["ip", "netns", "pids", name]);
  if (pids.ok) for (const pid of pids.value.split("\n").filter(Boolean)) kill(Number(pid));
  // Not an error when another start of the lab was first.
  await run(["ip", "netns", "delete", name]);
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has ended by itself.
  }
}
