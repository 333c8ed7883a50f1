import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { OtpFile } from "../../agent/adapters/otp.ts";
import { temporaryFolder } from "../support/folder.ts";
import { silent } from "./cli-fixture.ts";

test("a password's file: none, empty, there, changed, a folder, in a place that is no folder", () => {
  using folder = temporaryFolder();
  const at = (name: string) => join(folder.path, name);
  const look = (name: string) => new OtpFile(at(name), silent).look();
  expect(look("otp")).toEqual({ is: "none" });
  writeFileSync(at("otp"), "");
  expect(look("otp")).toEqual({ is: "none" });
  writeFileSync(at("otp"), "hYx3bq0ZlQ7mT2vK9nRwUg");
  const there = look("otp");
  expect(there).toEqual({ is: "there", mark: expect.not.stringContaining("hYx3") });
  writeFileSync(at("otp"), "another, longer one");
  expect(look("otp")).not.toEqual(there);
  mkdirSync(at("folder"));
  expect(look("folder")).toEqual({ is: "unreadable", error: "not a file" });
  expect(look("otp/below")).toEqual({ is: "none" });
});

test.skipIf(process.getuid?.() !== 0)(
  "one that is another user's cannot be read (skipped without root)",
  () => {
    using folder = temporaryFolder();
    const path = join(folder.path, "otp");
    writeFileSync(path, "hYx3bq0ZlQ7mT2vK9nRwUg", { mode: 0o600 });
    chmodSync(folder.path, 0o755);
    const nobody = 65_534;
    process.seteuid?.(nobody);
    try {
      const file = new OtpFile(path, silent);
      expect(file.look()).toEqual({ is: "unreadable", error: "EACCES" });
      expect(file.read()).toBeUndefined();
    } finally {
      process.seteuid?.(0);
    }
  },
);
