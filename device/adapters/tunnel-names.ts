import { closeSync, constants, ftruncateSync, openSync, writeSync } from "node:fs";
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
      return writeNames(way.path, plan, interfaceName);
    case "resolvectl":
      return setNames(plan, interfaceName, run);
  }
}

/** The file's text with our lines, or without them; what others wrote stays, also another device's lines. */
export function namesText(before: string, plan: NamePlan | undefined, interfaceName: string): string {
  const begin = `# connector-device writes the lines for ${interfaceName} up to their end mark, and takes them away again.`;
  const end = `# End of the lines for ${interfaceName}.`;
  const [start, rest] = [before.indexOf(`${begin}\n`), before.indexOf(`${end}\n`)];
  const theirs =
    start < 0 || rest < start ? before : before.slice(0, start) + before.slice(rest + end.length + 1);
  if (plan === undefined) return theirs;
  // resolv.conf(5): the first three servers count, in their order.
  const ours = plan.servers.map((server) => `nameserver ${server}\n`).join("");
  return `${begin}\n${ours}${end}\n${theirs}`;
}

function writeNames(path: string, plan: NamePlan | undefined, interfaceName: string): Result<void> {
  try {
    const before = readFileIfThere(path) ?? "";
    const text = namesText(before, plan, interfaceName);
    if (text !== before) writeInPlace(path, text);
    return success(undefined);
  } catch (error) {
    return { ok: false, failure: storageFailure(error, path) };
  }
}

/**
 * A file that is bound into a namespace keeps its inode, and those who look at it see the change. Cut to length only when
 * everything is there, so that nobody who asks for a name meanwhile finds a file without servers.
 */
function writeInPlace(path: string, text: string): void {
  const file = openSync(path, constants.O_WRONLY | constants.O_CREAT, 0o644);
  try {
    ftruncateSync(file, writeSync(file, text, 0));
  } finally {
    closeSync(file);
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
