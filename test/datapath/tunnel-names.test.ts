import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { applyNames, namesText } from "../../device/adapters/tunnel-names.ts";
import { commandRunner } from "../../protocol/node/command.ts";
import { temporaryFolder } from "../support/folder.ts";

const theirs = "search home\nnameserver 192.168.1.1\n";
const plan = { servers: ["100.64.0.1"], domains: ["example.internal"] };
const ours = namesText(theirs, plan, "dev0");

test("has our servers first, once, and is left as it was", () => {
  expect(ours.split("\n").filter((line) => line.startsWith("nameserver"))).toEqual([
    "nameserver 100.64.0.1",
    "nameserver 192.168.1.1",
  ]);
  expect(namesText(ours, plan, "dev0")).toBe(ours);
  expect(namesText(ours, undefined, "dev0")).toBe(theirs);
  expect(namesText(theirs, undefined, "dev0")).toBe(theirs);
});

test("what others write beside our lines stays", () => {
  const later = `options edns0\n${ours}nameserver 9.9.9.9\n`;
  expect(namesText(later, undefined, "dev0")).toBe(`options edns0\n${theirs}nameserver 9.9.9.9\n`);
});

test("two devices of one host do not take each other's lines away", () => {
  const both = namesText(ours, { ...plan, servers: ["100.64.0.9"] }, "dev1");
  expect(both).toContain("nameserver 100.64.0.1\n");
  expect(namesText(both, undefined, "dev1")).toBe(ours);
});

test("a mark that lost its other half does not grow with every look", () => {
  const broken = `${ours.split("\n", 1)[0]}\n`;
  const once = namesText(broken, plan, "dev0");
  expect(namesText(once, plan, "dev0")).toBe(once);
});

test("the file is written in place and cut to length", async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "resolv.conf");
  writeFileSync(path, theirs);
  const way = { kind: "file", path } as const;
  expect((await applyNames(way, plan, "dev0", commandRunner())).ok).toBe(true);
  expect(readFileSync(path, "utf8")).toBe(ours);
  expect((await applyNames(way, undefined, "dev0", commandRunner())).ok).toBe(true);
  expect(readFileSync(path, "utf8")).toBe(theirs);
});
