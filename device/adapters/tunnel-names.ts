import { writeFileSync } from "node:fs";
import { type Result, success } from "../../protocol/failures.ts";
import type { Run } from "../../protocol/node/command.ts";
import { readFileIfThere, storageFailure } from "../../protocol/node/files.ts";
import type { NamePlan } from "../core/tunnel-plan.ts";

/** How this host is told whom to ask for names. */
export type NamesWay =
  /** Names are left as they are. */
  | { readonly kind: "none" }
  /** systemd-resolved: only the services' domains are asked of the instance. */
  | { readonly kind: "resolvectl" }
  /**
   * A resolv.conf, which knows no domains: the instance is asked first for all names. `/etc/netns/NAME/resolv.conf` for a
   * network namespace (ip-netns(8)).
   */
  | { readonly kind: "file"; readonly path: string };

const begin = "# The connector's device writes the lines up to the end mark, and takes them away again.";
const end = "# End of the connector's lines.";

/** Brings the host's name service to the plan; undefined takes back what was set. */
export async function applyNames(
  way: NamesWay,
  plan: NamePlan | undefined,
  interfaceName: string,
  run: Run,
): Promise<Result<void>> {
  switch (way.kind) {
    case "none":
      return success(undefined);
    case "file":
      return writeNames(way.path, plan);
    case "resolvectl":
      return setNames(plan, interfaceName, run);
  }
}

/** The file's text with our lines, or without them; what others wrote stays. */
export function namesText(before: string, plan: NamePlan | undefined): string {
  const [start, rest] = [before.indexOf(begin), before.indexOf(`${end}\n`)];
  const theirs =
    start < 0 || rest < start ? before : before.slice(0, start) + before.slice(rest + end.length + 1);
  if (plan === undefined) return theirs;
  // resolv.conf(5): the first three servers count, in their order.
  const ours = plan.servers.map((server) => `nameserver ${server}\n`).join("");
  return `${begin}\n${ours}${end}\n${theirs}`;
}

/** In place: a file that is bound into a namespace keeps its inode, and those who look at it see the change. */
function writeNames(path: string, plan: NamePlan | undefined): Result<void> {
  try {
    const before = readFileIfThere(path) ?? "";
    const text = namesText(before, plan);
    if (text !== before) writeFileSync(path, text);
    return success(undefined);
  } catch (error) {
    return { ok: false, failure: storageFailure(error, path) };
  }
}

async function setNames(plan: NamePlan | undefined, name: string, run: Run): Promise<Result<void>> {
  const commands =
    plan === undefined
      ? [["resolvectl", "revert", name]]
      : [
          ["resolvectl", "dns", name, ...plan.servers],
          ["resolvectl", "domain", name, ...plan.domains.map((domain) => `~${domain}`)],
        ];
  for (const command of commands) {
    const done = await run(command);
    if (!done.ok) return done;
  }
  return success(undefined);
}
