import { exitCodes, printable, textWidth } from "../../../protocol/node/text.ts";
import { type Page, paragraph, type Report, type Style } from "../page.ts";
import type { Line } from "./line.ts";

/** All lines in the order in which an instance needs them. Degraded: one is FAIL or warn. */
export function checkReport(lines: readonly Line[]): Report {
  const wrong = lines.filter(({ result }) => result === "FAIL" || result === "warn");
  return {
    json: { result: worst(lines), lines },
    exitCode: wrong.length === 0 ? exitCodes.fine : exitCodes.failed,
    text: (page) =>
      `${lines.map((line) => lineText(line, lines, page)).join("\n")}\n\n${paragraph(sum(lines), page.width)}\n`,
  };
}

function lineText({ name, result, text, action }: Line, lines: readonly Line[], page: Page): string {
  const nameWidth = Math.max(...lines.map((line) => textWidth(line.name)));
  const indent = " ".repeat(6 + nameWidth + 2);
  const head = `${page.paint(styles[result], result.padEnd(4))}  ${name.padEnd(nameWidth)}  `;
  const body = paragraph(printable(text), page.width, indent).slice(indent.length);
  if (action === undefined) return `${head}${body}`;
  return `${head}${body}\n${paragraph(printable(action), page.width, `${indent}→ `)}`;
}

function sum(lines: readonly Line[]): string {
  const count = (result: Line["result"]) => lines.filter((line) => line.result === result).length;
  const [failed, warned, skipped] = [count("FAIL"), count("warn"), count("skip")];
  const rest = skipped === 0 ? "" : ` ${skipped} could not be looked at.`;
  if (failed + warned === 0) return `All is well.${rest}`;
  const warnings = warned === 0 ? "" : `${warned} warning${warned === 1 ? "" : "s"}`;
  const failures = failed === 0 ? "" : `${failed} failed`;
  return `${[failures, warnings].filter((part) => part !== "").join(", ")}: follow the arrows, first things first.${rest}`;
}

function worst(lines: readonly Line[]): "ok" | "warn" | "FAIL" {
  if (lines.some(({ result }) => result === "FAIL")) return "FAIL";
  return lines.some(({ result }) => result === "warn") ? "warn" : "ok";
}

const styles = { ok: "green", warn: "yellow", FAIL: "red", skip: "bold" } as const satisfies Record<
  Line["result"],
  Style
>;
