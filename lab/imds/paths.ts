// Finds what a request path names: the version list, a directory's listing, a key, or nothing.
import type { Directory, Leaf, Node } from "./tree.ts";

/** As `GET /` lists them on a real instance, up to the newest the lab knows; `latest` follows. */
export const imdsVersions = [
  "1.0",
  "2007-01-19",
  "2007-03-01",
  "2007-08-29",
  "2007-10-10",
  "2007-12-15",
  "2008-02-01",
  "2008-09-01",
  "2009-04-04",
  "2011-01-01",
  "2011-05-01",
  "2012-01-12",
  "2014-02-25",
  "2014-11-05",
  "2015-10-20",
  "2016-04-19",
  "2016-06-30",
  "2016-09-02",
  "2018-03-28",
  "2018-08-17",
  "2018-09-24",
  "2019-10-01",
  "2020-08-24",
  "2020-10-27",
  "2021-01-03",
  "2021-03-23",
  "2021-07-15",
  "2022-07-09",
  "2022-09-24",
  "2024-04-11",
  "latest",
] as const;

export type Found = { kind: "text"; text: string; contentType: Leaf["contentType"] } | { kind: "absent" };

/** The names of a path: query dropped, `//` squeezed, trailing slash ignored. Undefined when it cannot be decoded. */
export function pathSegments(target: string): string[] | undefined {
  const path = target.replace(/^[a-z]+:\/\/[^/?]*/i, "").replace(/[?#].*$/, "");
  try {
    return path.split("/").filter(Boolean).map(decodeURIComponent);
  } catch {
    return undefined;
  }
}

export function isVersion(segment: string | undefined): segment is string {
  return imdsVersions.some((version) => version === segment);
}

/** The MAC of `meta-data/network/interfaces/macs/<mac>`, the directory with which a client begins a reading. */
export function macDirectoryOf(segments: readonly string[]): string | undefined {
  return segments.length === 6 && segments.slice(1, 5).join("/") === "meta-data/network/interfaces/macs"
    ? segments[5]
    : undefined;
}

export function find(tree: Directory, segments: readonly string[]): Found {
  const [version, ...names] = segments;
  if (version === undefined) return plain(imdsVersions.join("\n"));
  if (!isVersion(version)) return { kind: "absent" };
  let node: Node = tree;
  for (const name of names) {
    const child: Node | undefined = node.kind === "directory" ? entry(node, name) : undefined;
    if (child === undefined || !exists(child, version)) return { kind: "absent" };
    node = child;
  }
  if (node.kind === "directory") return plain(listing(node, version));
  return node.unreadable
    ? { kind: "absent" }
    : { kind: "text", text: node.text, contentType: node.contentType };
}

/** One name a line in order, subdirectories with a trailing slash, no newline at the end. */
function listing(directory: Directory, version: string): string {
  const names: string[] = [];
  for (const [name, node] of Object.entries(directory.entries)) {
    if (node === undefined || !exists(node, version)) continue;
    names.push(node.kind === "directory" && !directory.bareNames ? `${name}/` : name);
  }
  return names.sort().join("\n");
}

/** A directory exists while it holds something. Versions compare as text; `latest` comes after every date. */
function exists(node: Node, version: string): boolean {
  if (node.kind === "leaf") return node.since === undefined || node.since <= version;
  return Object.values(node.entries).some((child) => child !== undefined && exists(child, version));
}

function entry(directory: Directory, name: string): Node | undefined {
  return Object.hasOwn(directory.entries, name) ? directory.entries[name] : undefined;
}

function plain(text: string): Found {
  return { kind: "text", text, contentType: "text/plain" };
}
