import { execFile } from "node:child_process";
import { lstatSync, readdirSync } from "node:fs";
import { release } from "node:os";
import { join } from "node:path";
import { readFileIfThere } from "../../../protocol/node/files.ts";
import { softwareVersion } from "../../../protocol/node/software.ts";
import { reads } from "../../core/local-api.ts";
import { findCommand } from "../check/datapath/host-command.ts";
import type { AgentClient } from "../client.ts";

/** One file of a bundle, not yet redacted; or why it could not be made. */
export interface Part {
  readonly name: string;
  readonly what: string;
  readonly content:
    | { readonly is: "text"; readonly text: string }
    | { readonly is: "missing"; readonly why: string };
}

/** What the agent says of itself. */
export async function gatherViews(client: AgentClient): Promise<Part[]> {
  return await Promise.all(
    reads.map(async (view): Promise<Part> => {
      const answer = await client.read(view);
      const file = { name: `views/${view}.json`, what: `what \`connector ${view}\` shows` };
      if (!answer.ok) return { ...file, content: { is: "missing", why: answer.failure.message } };
      return { ...file, content: text(JSON.stringify(answer.value, null, 2)) };
    }),
  );
}

/** What the host says: versions, addresses, routes, the log, and which files the agent keeps. */
export async function gatherHost(stateDir: string): Promise<Part[]> {
  return await Promise.all([
    { name: "versions.txt", what: "this software, Node, kernel, distribution", content: text(versions()) },
    output("host/addresses.txt", "addresses of the host", "ip", ["addr"]),
    output("host/routes.txt", "IPv4 routes", "ip", ["route", "show", "table", "all"]),
    output("host/routes6.txt", "IPv6 routes", "ip", ["-6", "route", "show", "table", "all"]),
    output("host/rules.txt", "policy rules", "ip", ["rule"]),
    output("log.txt", "the end of the agent's log", "journalctl", [
      "-u",
      "connector",
      "-n",
      "5000",
      "--no-pager",
      "-o",
      "short-iso",
    ]),
    { name: "state-files.txt", what: "names and sizes in the state directory", content: listing(stateDir) },
  ]);
}

export function text(content: string): Part["content"] {
  return { is: "text", text: content };
}

function versions(): string {
  const distribution = /^PRETTY_NAME="?([^"\n]*)/m.exec(readFileIfThere("/etc/os-release") ?? "")?.[1];
  return [
    `connector ${softwareVersion}`,
    `node ${process.version} ${process.arch}`,
    `linux ${release()}`,
    distribution ?? "unknown distribution",
    "",
  ].join("\n");
}

/** Names, sizes and owners, never the content. */
export function listing(folder: string): Part["content"] {
  try {
    const lines = readdirSync(folder)
      .toSorted()
      .map((name) => {
        const { mode, size, uid, gid, mtime } = lstatSync(join(folder, name));
        return `${(mode & 0o7777).toString(8).padStart(4, "0")} ${uid}:${gid} ${size} ${mtime.toISOString()} ${name}`;
      });
    return text(`${folder}\n${lines.join("\n")}\n`);
  } catch (error) {
    return { is: "missing", why: (error as Error).message };
  }
}

export function output(name: string, what: string, command: string, args: readonly string[]): Promise<Part> {
  const { promise, resolve } = Promise.withResolvers<Part>();
  execFile(
    findCommand(command) ?? command,
    args,
    { timeout: 10_000, maxBuffer: 16 * 1024 * 1024 },
    (error, stdout, stderr) => {
      const why =
        (error as NodeJS.ErrnoException | null)?.code === "ENOENT" ? "not installed" : stderr.trim();
      if (error)
        resolve({ name, what, content: { is: "missing", why: `${command}: ${why || error.message}` } });
      else resolve({ name, what, content: text(stdout) });
    },
  );
  return promise;
}
