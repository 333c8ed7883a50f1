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

/**
 * Ends what still runs in the namespaces that are its arguments, and removes them. A process keeps its namespace alive
 * without the name: wireguard-go, say, whose agent was killed. One that another start of the lab removed first is no error.
 */
export const removal = `for name; do ip netns pids "$name"; done 2> /dev/null | while read -r pid; do kill -9 "$pid"; done
for name; do ip netns delete "$name"; done`;

/** Ends what still runs in them and removes them, with their interfaces, routes and rules. */
export async function removeNamespaces(names: readonly string[]): Promise<void> {
  await run(["sh", "-c", removal, "removal", ...names], { timeoutMs: 60_000 });
}
