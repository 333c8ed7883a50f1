import { chmodSync, existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { OtpFile } from "../../agent/adapters/otp.ts";
import { temporaryFolder } from "../support/folder.ts";
import { testLog } from "../support/log.ts";

function otpIn(where: "credentials" | "credstore") {
  const folder = temporaryFolder();
  onTestFinished(() => folder[Symbol.dispose]());
  const credentials = join(folder.path, "credentials");
  const path = join(folder.path, where, "connector.otp");
  const spentFile = join(folder.path, "otp-spent");
  mkdirSync(join(folder.path, where));
  writeFileSync(path, "0123456789abcdef\n");
  const { log, lines } = testLog();
  return { otp: new OtpFile({ path, credentials, spentFile, log }), path, spentFile, lines };
}

test("a spent password is removed where it is", () => {
  const { otp, path, spentFile } = otpIn("credstore");
  otp.remove();
  expect([existsSync(path), existsSync(spentFile)]).toEqual([false, false]);
});

test("of a credential it has a copy: systemd is asked to remove it", () => {
  const { otp, path, spentFile, lines } = otpIn("credentials");
  otp.remove();
  expect([existsSync(path), existsSync(spentFile)]).toEqual([true, true]);
  expect(lines().map(({ msg }) => msg)).toEqual(["the OTP is spent; systemd is asked to remove it"]);
});

test("its file may be there, changed, empty, missing, or no file", () => {
  const { otp, path } = otpIn("credstore");
  const there = otp.look();
  expect(there).toEqual({ is: "there", mark: expect.not.stringContaining("0123456789abcdef") });
  writeFileSync(path, "another, longer one\n");
  expect(otp.look()).toMatchObject({ is: "there" });
  expect(otp.look()).not.toEqual(there);
  writeFileSync(path, "");
  expect(otp.look()).toEqual({ is: "none" });
  rmSync(path);
  expect(otp.look()).toEqual({ is: "none" });
  mkdirSync(path);
  expect(otp.look()).toEqual({ is: "unreadable", error: "not a file" });
});

test.skipIf(process.getuid?.() !== 0)(
  "one that is root's cannot be read by others (skipped without root)",
  () => {
    const { otp, path } = otpIn("credstore");
    chmodSync(path, 0o600);
    for (const folder of [dirname(path), dirname(dirname(path))]) chmodSync(folder, 0o755);
    const nobody = 65_534;
    process.seteuid?.(nobody);
    try {
      expect(otp.look()).toEqual({ is: "unreadable", error: "EACCES" });
      expect(otp.read()).toBeUndefined();
    } finally {
      process.seteuid?.(0);
    }
  },
);
