import { styleText } from "node:util";
import { textWidth } from "../../protocol/node/text.ts";

export type Style = "bold" | "green" | "yellow" | "red";

/** What a view is laid out for. */
export interface Page {
  /** Columns of the terminal; undefined for a pipe, where nothing is cut or folded. */
  readonly width: number | undefined;
  readonly nowMs: number;
  readonly paint: (style: Style, text: string) => string;
}

/** One command's outcome in every form it can be asked for. */
export interface Report {
  readonly json: unknown;
  readonly exitCode: number;
  text(page: Page): string;
}

export function painter(colored: boolean): Page["paint"] {
  return colored
    ? (style, text) => styleText(style, text, { validateStream: false })
    : (_style, text) => text;
}

/** Breaks a paragraph at its spaces; the first line starts with `first`, the others with as many spaces. */
export function paragraph(text: string, width: number | undefined, first = ""): string {
  const indent = " ".repeat(textWidth(first));
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    const longer = line === "" ? word : `${line} ${word}`;
    if (line !== "" && textWidth(indent) + textWidth(longer) > (width ?? Number.POSITIVE_INFINITY)) {
      lines.push(line);
      line = word;
    } else line = longer;
  }
  return [...lines, line].map((text, i) => `${i === 0 ? first : indent}${text}`).join("\n");
}
