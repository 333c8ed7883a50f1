import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
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
