import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { type Result, success } from "../../../protocol/failures.ts";
import { exitCodes, printable } from "../../../protocol/node/text.ts";
import type { World } from "../../../protocol/node/world.ts";
import { checkHost } from "../check/main.ts";
import { AgentClient } from "../client.ts";
import { type Page, paragraph, type Report } from "../page.ts";
import { writeArchive } from "./archive.ts";
import { gatherDataPath } from "./datapath.ts";
import { gatherHost, gatherViews, type Part } from "./gather.ts";
import { gatherParameters } from "./parameters.ts";
import { Anonymiser, redact } from "./redact.ts";

export interface BundleOptions {
  readonly socket: string;
  readonly parameters: string;
  readonly stateDir: string;
  readonly out?: string | undefined;
  readonly anonymise: boolean;
}

/**
 * Gathers everything, takes the secrets out of all of it, and writes one archive. A part that cannot be had is named in
 * the bundle and makes the outcome degraded; an agent that does not answer is the best reason for a bundle.
 */
export async function supportBundle(options: BundleOptions, world: World): Promise<Result<Report>> {
  const [views, dataPath, host, check] = await Promise.all([
    gatherViews(new AgentClient(options.socket)),
    gatherDataPath(options.socket, world.env),
    gatherHost(options.stateDir),
    checkHost({ parameters: options.parameters, stateDir: options.stateDir, env: world.env }),
  ]);
  const parameters = gatherParameters(options.parameters, world.env);
  const parts: Part[] = [
    ...views,
    {
      name: "check.txt",
      what: "what `connector check` shows",
      content: {
        is: "text",
        text: check.text({ width: undefined, nowMs: world.now(), paint: (_, text) => text }),
      },
    },
    parameters.part,
    ...dataPath,
    ...host,
  ];
  const clean = cleaner(views, secretIn(parameters.otpFile), options.anonymise);
  const made = new Date(world.now()).toISOString().replace(/[-:]|\.\d+/g, "");
  const folder = `connector-${nameIn(views)}-${made}`;
  const path = resolve(options.out ?? `${folder}.tar.gz`);
  const files = parts.flatMap(({ name, content }) =>
    content.is === "text" ? [{ name, text: clean(content.text) }] : [],
  );
  files.push({ name: "CONTENTS.txt", text: `${contents(parts)}\n` });
  try {
    const bytes = await writeArchive(path, folder, files);
    return success(report(path, bytes, parts, options));
  } catch (error) {
    return success(notWritten(path, error as NodeJS.ErrnoException));
  }
}

function cleaner(views: readonly Part[], secrets: readonly string[], anonymise: boolean) {
  if (!anonymise) return (text: string) => redact(text, secrets);
  const anonymiser = new Anonymiser(randomUUID());
  for (const { content } of views) {
    if (content.is === "text")
      anonymiser.learn([...content.text.matchAll(/"user": "([^"]+)"/g)].map(([, user = ""]) => user));
  }
  return (text: string) => redact(anonymiser.apply(text), secrets);
}

/** The OTP itself, so that it is found wherever it stands. */
function secretIn(otpFile: string | undefined): string[] {
  if (otpFile === undefined) return [];
  try {
    return [readFileSync(otpFile, "utf8").trim()];
  } catch {
    return [];
  }
}

function nameIn(views: readonly Part[]): string {
  const status = views.find(({ name }) => name === "views/status.json")?.content;
  const name = status?.is === "text" ? (JSON.parse(status.text) as { name?: unknown }).name : undefined;
  return typeof name === "string" ? name.replace(/[^A-Za-z0-9_-]/g, "_") : "unknown";
}

/** A line for each part, wrapped where a reason is long. */
function contents(parts: readonly Part[], width?: number): string {
  const nameWidth = Math.max(...parts.map(({ name }) => name.length));
  return parts
    .map(({ name, what, content }) => {
      const text = content.is === "text" ? what : `MISSING: ${printable(content.why)}`;
      return paragraph(text, width, `${name.padEnd(nameWidth)}  `);
    })
    .join("\n");
}

function report(path: string, bytes: number, parts: readonly Part[], options: BundleOptions): Report {
  const missing = parts.filter(({ content }) => content.is === "missing").map(({ name }) => name);
  const names = options.anonymise
    ? "Users' names are replaced."
    : "Users' names are in it; --anonymise replaces them.";
  const end = `Keys and one-time passwords are not in it. ${names} Look into it before you send it.`;
  return {
    json: {
      path,
      bytes,
      files: parts.filter(({ content }) => content.is === "text").map(({ name }) => name),
      missing,
    },
    exitCode: missing.length === 0 ? exitCodes.fine : exitCodes.failed,
    text: ({ width }: Page) =>
      `${printable(path)}\n${Math.ceil(bytes / 1024)} KB, readable by its owner only:\n\n${contents(parts, width)}\n\n${paragraph(end, width)}\n`,
  };
}

function notWritten(path: string, error: NodeJS.ErrnoException): Report {
  const why = error.code === "EEXIST" ? "there is a file already" : error.message;
  return {
    json: { path, error: why },
    exitCode: exitCodes.failed,
    text: ({ width }) =>
      `${paragraph(`The bundle could not be written to ${printable(path)}: ${why}.`, width)}\n  → Name another place with --out.\n`,
  };
}
