import { printable, textWidth } from "./text.ts";

export interface Column {
  readonly title: string;
  readonly align?: "left" | "right";
  /** Cells may be cut to this many columns (`i-0e306ccdf94…`) when the table does not fit otherwise. */
  readonly max?: number;
}

/**
 * A text table without a final newline. With a width it is made to fit, in this order: titles over several lines, cells
 * cut to their column's `max`, columns moved to further blocks that repeat the first one. Nothing is lost but what
 * `max` allows. Without a width (a pipe) every cell is whole and on one line.
 */
export function table(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  width?: number,
): string {
  const cells = rows.map((row) => columns.map((_, i) => printable(row[i] ?? "")));
  const shapes: readonly Shape[] = [
    { wrapTitles: false, cut: false },
    { wrapTitles: true, cut: false },
    { wrapTitles: true, cut: true },
  ];
  for (const shape of shapes) {
    const laid = columns.map((column, i) => layOut(column, cells, i, shape));
    if (width === undefined || total(laid) <= width) return print(laid);
  }
  const laid = columns.map((column, i) => layOut(column, cells, i, { wrapTitles: true, cut: true }));
  return fold(laid, width ?? Number.POSITIVE_INFINITY)
    .map(print)
    .join("\n\n");
}

/** Lines of `name  value`, the names padded to one width. A value of several lines stays in its column. */
export function list(pairs: readonly (readonly [name: string, value: string])[]): string {
  const nameWidth = Math.max(0, ...pairs.map(([name]) => textWidth(name)));
  return pairs
    .map(([name, value]) => {
      const lines = value
        .split("\n")
        .map(printable)
        .join(`\n${" ".repeat(nameWidth + gap.length)}`);
      return `${pad(name, nameWidth)}${gap}${lines}`.trimEnd();
    })
    .join("\n");
}

interface Shape {
  readonly wrapTitles: boolean;
  readonly cut: boolean;
}

interface LaidOut {
  readonly title: readonly string[];
  readonly cells: readonly string[];
  readonly width: number;
  readonly right: boolean;
}

const gap = "  ";

function layOut(column: Column, rows: readonly (readonly string[])[], index: number, shape: Shape): LaidOut {
  const max = shape.cut ? (column.max ?? Number.POSITIVE_INFINITY) : Number.POSITIVE_INFINITY;
  const cells = rows.map((row) => cut(row[index] ?? "", max));
  const cellWidth = Math.max(0, ...cells.map(textWidth));
  const title = shape.wrapTitles ? wrap(column.title, cellWidth) : [column.title];
  const width = Math.max(cellWidth, ...title.map(textWidth));
  return { title, cells, width, right: column.align === "right" };
}

function print(columns: readonly LaidOut[]): string {
  const titleLines = Math.max(...columns.map((column) => column.title.length));
  const lines: string[] = [];
  const addLine = (cellOf: (column: LaidOut) => string) =>
    lines.push(
      columns
        .map((column) => pad(cellOf(column), column.width, column.right))
        .join(gap)
        .trimEnd(),
    );
  for (let i = 0; i < titleLines; i++) {
    // Short titles stand on the lowest line, next to their cells.
    addLine(({ title }) => title[i - titleLines + title.length] ?? "");
  }
  const rowCount = columns[0]?.cells.length ?? 0;
  for (let i = 0; i < rowCount; i++) addLine(({ cells }) => cells[i] ?? "");
  return lines.join("\n");
}

function fold(columns: readonly LaidOut[], width: number): LaidOut[][] {
  const [first, ...others] = columns;
  if (first === undefined) return [];
  const blocks: LaidOut[][] = [];
  let block = [first];
  for (const column of others) {
    if (block.length > 1 && total([...block, column]) > width) {
      blocks.push(block);
      block = [first];
    }
    block.push(column);
  }
  return [...blocks, block];
}

function total(columns: readonly LaidOut[]): number {
  return columns.reduce((sum, column) => sum + column.width, gap.length * (columns.length - 1));
}

/** Breaks a title at its spaces, into lines no wider than the cells or than its longest word. */
function wrap(title: string, cellWidth: number): string[] {
  const words = title.split(" ");
  const width = Math.max(cellWidth, ...words.map(textWidth));
  const lines: string[] = [];
  let line = "";
  for (const word of words) {
    const longer = line === "" ? word : `${line} ${word}`;
    if (textWidth(longer) <= width) line = longer;
    else {
      lines.push(line);
      line = word;
    }
  }
  return [...lines, line];
}

function cut(text: string, max: number): string {
  if (textWidth(text) <= max) return text;
  let kept = "";
  for (const char of text) {
    if (textWidth(kept + char) > max - 1) break;
    kept += char;
  }
  return `${kept}…`;
}

function pad(text: string, width: number, right = false): string {
  const spaces = " ".repeat(Math.max(0, width - textWidth(text)));
  return right ? spaces + text : text + spaces;
}
