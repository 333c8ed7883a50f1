import fc from "fast-check";
import { expect, test } from "vitest";
import { nearest } from "../../protocol/nearest.ts";
import { type Column, list, table } from "../../protocol/node/table.ts";
import { duration, printable, textWidth, timestamp } from "../../protocol/node/text.ts";

const columns: Column[] = [
  { title: "Name" },
  { title: "Provider Instance Id" },
  { title: "Status" },
  { title: "Management IP" },
  { title: "Active Agents", align: "right" },
  { title: "User Group Associations" },
  { title: "Version" },
  { title: "Up Since" },
];
const rows = [
  [
    "aws-us-vir-con-00008",
    "i-0e306ccdf94ab1234",
    "Active",
    "172.18.140.76",
    "10",
    "Pool1",
    "13.4.23",
    "2024-10-28 10:48:06Z",
  ],
  [
    "aws-us-vir-con-00009",
    "i-0aef45551f04d30bc",
    "Active",
    "172.18.139.171",
    "9",
    "Pool1 +1",
    "13.4.23",
    "2024-10-28 10:48:07Z",
  ],
];

test("a table in a pipe has one line a row and nothing cut", () => {
  expect(table(columns, rows).split("\n")).toEqual([
    "Name                  Provider Instance Id  Status  Management IP   Active Agents  User Group Associations  Version  Up Since",
    "aws-us-vir-con-00008  i-0e306ccdf94ab1234   Active  172.18.140.76              10  Pool1                    13.4.23  2024-10-28 10:48:06Z",
    "aws-us-vir-con-00009  i-0aef45551f04d30bc   Active  172.18.139.171              9  Pool1 +1                 13.4.23  2024-10-28 10:48:07Z",
  ]);
});

test("on 80 columns titles are wrapped, and the columns that do not fit follow in a block of their own", () => {
  expect(table(columns, rows, 80).split("\n")).toEqual([
    "                      Provider Instance                            Active",
    "Name                  Id                   Status  Management IP   Agents",
    "aws-us-vir-con-00008  i-0e306ccdf94ab1234  Active  172.18.140.76       10",
    "aws-us-vir-con-00009  i-0aef45551f04d30bc  Active  172.18.139.171       9",
    "",
    "                      User Group",
    "Name                  Associations  Version  Up Since",
    "aws-us-vir-con-00008  Pool1         13.4.23  2024-10-28 10:48:06Z",
    "aws-us-vir-con-00009  Pool1 +1      13.4.23  2024-10-28 10:48:07Z",
  ]);
});

test("cells are cut only where their column allows it and the table does not fit otherwise", () => {
  const cuttable = [{ title: "Name" }, { title: "Id", max: 8 }];
  expect(table(cuttable, [["a", "i-0e306ccdf94"]], 40)).toBe("Name  Id\na     i-0e306ccdf94");
  expect(table(cuttable, [["a", "i-0e306ccdf94"]], 15)).toBe("Name  Id\na     i-0e306…");
});

test("wide characters take two columns, combining marks none, and control characters cannot move the cursor", () => {
  expect(
    table(
      [{ title: "Name" }, { title: "X" }],
      [
        ["東京", "1"],
        ["e\u0301", "2"],
      ],
    ),
  ).toBe("Name  X\n東京  1\ne\u0301     2");
  expect(table([{ title: "Name" }], [["a\u001b[2Jb\u202e\n"]])).toBe("Name\na\\u{1b}[2Jb\\u{202e}\\u{a}");
});

test("property: every line but that of a single wide column fits, and every cell is there whole", () => {
  const word = fc.stringMatching(/^[a-z0-9]{1,12}$/);
  fc.assert(
    fc.property(
      fc.array(word, { minLength: 1, maxLength: 6 }),
      fc.array(fc.array(word, { minLength: 6, maxLength: 6 }), { maxLength: 4 }),
      fc.integer({ min: 26, max: 120 }),
      (titles, cells, width) => {
        const text = table(
          titles.map((title) => ({ title })),
          cells,
          width,
        );
        for (const line of text.split("\n")) expect(textWidth(line)).toBeLessThanOrEqual(width);
        const words = new Set(text.split(/\s+/));
        for (const row of cells)
          for (const cell of row.slice(0, titles.length)) expect(words).toContain(cell);
      },
    ),
  );
});

test("a list pads its names and keeps further lines in the value's column", () => {
  expect(
    list([
      ["Name", "a"],
      ["Status", "Active\nsince 3 h"],
    ]),
  ).toBe("Name    a\nStatus  Active\n        since 3 h");
});

test.each([
  [0, "0ms"],
  [340.7, "340ms"],
  [12_000, "12s"],
  [302_000, "5m 2s"],
  [3_600_000, "1h"],
  [11_520_000, "3h 12m"],
  [183_600_000, "2d 3h"],
  [-12_000, "-12s"],
  [Number.POSITIVE_INFINITY, "-"],
])("duration(%d) is %s", (ms, text) => expect(duration(ms)).toBe(text));

test("a time is UTC to the second, and a missing or impossible one is a dash", () => {
  expect(timestamp(Date.UTC(2024, 9, 28, 10, 48, 6, 123))).toBe("2024-10-28 10:48:06Z");
  expect(timestamp(undefined)).toBe("-");
  expect(timestamp(9e15)).toBe("-");
});

test("the nearest word is offered when it is near", () => {
  expect(nearest("leaseMinuts", ["leaseMinutes", "pool", "name"])).toBe("leaseMinutes");
  expect(nearest("Name", ["name"])).toBe("name");
  expect(nearest("zzz", ["name", "pool"])).toBeUndefined();
});

test("printable text stays as it is", () => expect(printable("Zoë 東京 +1…")).toBe("Zoë 東京 +1…"));
