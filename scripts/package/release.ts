import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import packageFile from "../../package.json" with { type: "json" };

export const root = join(import.meta.dirname, "../..");

/** What all packages of one build have in common. */
export interface Release {
  readonly version: string;
  /** Counts packagings of one version. */
  readonly revision: number;
  /** Of every file, and of whatever wants a date: seconds since 1970. Nothing else in a package knows a time. */
  readonly epoch: number;
  /** What changed, one entry each. */
  readonly changes: readonly string[];
}

export const maintainer = "Connector maintainers <maintainers@connector.invalid>";
export const licence: string = packageFile.license;

/** From the sources; the date from SOURCE_DATE_EPOCH, else of the last commit. */
export function releaseOf(revision: number): Release {
  const { version } = packageFile;
  const given = process.env.SOURCE_DATE_EPOCH;
  const epoch = Number(
    given ?? execFileSync("git", ["log", "-1", "--format=%ct"], { cwd: root, encoding: "utf8" }),
  );
  if (!Number.isInteger(epoch) || epoch <= 0) throw new RangeError(`SOURCE_DATE_EPOCH is ${given}`);
  const changes = changesOf(readFileSync(join(root, "CHANGELOG.md"), "utf8"), version);
  return { version, revision, epoch, changes };
}

/** The entries below the heading of this version, each in one line. */
function changesOf(text: string, version: string): readonly string[] {
  const sections = text.split(/^## /m);
  const section = sections.find((candidate) => candidate.startsWith(`${version} `)) ?? "";
  const entries = section.split(/^- /m).slice(1);
  const changes = entries.map((entry) => (entry.split("\n\n")[0] ?? "").replaceAll(/\s+/g, " ").trim());
  if (changes.length === 0) throw new Error(`CHANGELOG.md has no entry for ${version}`);
  return changes;
}

/** Of Debian's changelog; RFC 5322. */
export function mailDate({ epoch }: Release): string {
  return new Date(epoch * 1000).toUTCString().replace("GMT", "+0000");
}

/** Words in lines of this width. */
export function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width)
      lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}
