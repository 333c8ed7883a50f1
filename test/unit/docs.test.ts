import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { failureCodes } from "../../protocol/failures.ts";

const root = join(import.meta.dirname, "..", "..");
const folders = readdirSync(root, { withFileTypes: true }).filter(
  ({ name }) => !/^(\.|node_modules$|dist$)/.test(name),
);
const pages = folders
  .flatMap((entry) =>
    entry.isDirectory()
      ? readdirSync(join(root, entry.name), { recursive: true, encoding: "utf8" }).map((path) =>
          join(entry.name, path),
        )
      : [entry.name],
  )
  .filter((path) => path.endsWith(".md"));

test("what can go wrong with a data path is explained to operators", () => {
  const page = read("docs/cli.md");
  const codes = failureCodes.filter((code) => /^(datapath|resolver)\./.test(code));
  expect(codes.filter((code) => !page.includes(`| \`${code}\` |`))).toEqual([]);
});

test.each(pages)("the links of %s lead somewhere", (path) => {
  const links = [...read(path).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = ""]) => link);
  expect(links.filter((link) => !/^https?:/.test(link) && !leads(path, link))).toEqual([]);
});

function leads(from: string, link: string): boolean {
  const [path = "", anchor] = link.split("#");
  const to = path === "" ? from : join(dirname(from), path);
  if (!existsSync(join(root, to))) return false;
  return anchor === undefined || anchorsOf(to.endsWith(".md") ? to : join(to, "README.md")).includes(anchor);
}

/** As GitHub makes them of headings. */
function anchorsOf(page: string): string[] {
  return [...read(page).matchAll(/^#+ (.+)$/gm)].map(([, heading = ""]) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-"),
  );
}

function read(path: string): string {
  return readFileSync(join(root, path), "utf8");
}
