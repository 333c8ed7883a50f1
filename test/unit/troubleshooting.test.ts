import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { failureCodes } from "../../protocol/failures.ts";
import { troubleshootingFile, troubleshootingPage } from "../../scripts/troubleshooting.ts";

test("the page is the catalogue's; `npm run docs` writes it anew", () => {
  expect(readFileSync(troubleshootingFile, "utf8")).toBe(troubleshootingPage());
});

test("every code is on the page, once", () => {
  const rows = troubleshootingPage().match(/^\| `[^`]+`/gm) ?? [];
  expect(rows.toSorted()).toEqual(failureCodes.map((code) => `| \`${code}\``).toSorted());
});
