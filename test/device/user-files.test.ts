import { mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { UserFiles } from "../../device/adapters/user-files.ts";
import { temporaryFolder } from "../support/folder.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function watched(folder: string) {
  const codePath = join(folder, "code");
  const files = new UserFiles(folder, codePath);
  const told: unknown[] = [];
  /** What a device knows that starts now, before it begins to look. */
  const start = (meanwhile = () => {}) => {
    const known = { code: files.readCode()?.reveal(), wants: files.readWants() };
    meanwhile();
    files.watch(
      () => told.push({ code: files.readCode()?.reveal() }),
      () => told.push({ wants: files.readWants() }),
    );
    return known;
  };
  /** What is told of in the next second. */
  const next = () => {
    vi.advanceTimersByTime(1_000);
    return told.splice(0);
  };
  return { files, codePath, start, next };
}

test("a code and a logout that come while the device starts are not lost", () => {
  using folder = temporaryFolder();
  const { files, codePath, start, next } = watched(folder.path);
  const known = start(() => {
    writeFileSync(codePath, "code-1");
    files.writeWants("detached");
  });
  expect(known).toEqual({ code: undefined, wants: "attached" });
  expect(next()).toEqual([{ wants: "detached" }, { code: "code-1" }]);
  expect(next()).toEqual([]);
  files[Symbol.dispose]();
});

test("tells of each change once: written, written over in place, replaced, emptied, removed", () => {
  using folder = temporaryFolder();
  const { files, codePath, start, next } = watched(folder.path);
  start();
  next();
  const changes: [() => void, string | undefined][] = [
    [() => writeFileSync(codePath, "code-1"), "code-1"],
    [() => writeFileSync(codePath, "code-02"), "code-02"],
    [
      () => {
        writeFileSync(`${codePath}.new`, "code-03");
        renameSync(`${codePath}.new`, codePath);
      },
      "code-03",
    ],
    [() => writeFileSync(codePath, ""), undefined],
    [() => rmSync(codePath), undefined],
  ];
  for (const [change, code] of changes) {
    change();
    expect(next()).toEqual([{ code }]);
    expect(next()).toEqual([]);
  }
  files.writeWants("detached");
  expect(next()).toEqual([{ wants: "detached" }]);
  files[Symbol.dispose]();
  files.writeWants("attached");
  expect(next()).toEqual([]);
});

test("a folder where the code should be ends nobody, and a code in its place is told of", () => {
  using folder = temporaryFolder();
  const { files, codePath, start, next } = watched(folder.path);
  start();
  next();
  mkdirSync(codePath);
  expect(() => next()).toThrow("EISDIR");
  rmSync(codePath, { recursive: true });
  writeFileSync(codePath, "code-1");
  expect(next()).toEqual([{ code: "code-1" }]);
  files[Symbol.dispose]();
});
