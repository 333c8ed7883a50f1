import { accessSync, constants, statfsSync, statSync } from "node:fs";
import { Failure } from "../../../protocol/failures.ts";
import { byteSize } from "../../../protocol/node/text.ts";
import { fail, type Line, lineOf, ok, skip, warn } from "./line.ts";

/** Less free space is worth a warning; the database of 10,000 leases is about 4 MB, and its log as much. */
const freeBytesWarn = 256 * 1024 * 1024;
const freeBytesMin = 32 * 1024 * 1024;

export type FileSeen =
  | { readonly is: "there"; readonly mode: number; readonly bytes: number }
  | { readonly is: "none" }
  | { readonly is: "hidden"; readonly error: string };

export type FolderSeen =
  | {
      readonly is: "there";
      readonly mode: number;
      readonly writeError: string | undefined;
      readonly freeBytes: number;
    }
  | { readonly is: "none" }
  | { readonly is: "hidden"; readonly error: string };

const notAFile = "not a file";

export function lookAtFile(path: string): FileSeen {
  try {
    const file = statSync(path);
    if (!file.isFile()) return { is: "hidden", error: notAFile };
    return { is: "there", mode: file.mode & 0o777, bytes: file.size };
  } catch (error) {
    return absence(error);
  }
}

export function lookAtFolder(path: string): FolderSeen {
  try {
    const { mode } = statSync(path);
    const { bavail, bsize } = statfsSync(path);
    return { is: "there", mode: mode & 0o777, writeError: writeError(path), freeBytes: bavail * bsize };
  } catch (error) {
    return absence(error);
  }
}

/** The OTP matters until the instance is enrolled, and must not be there afterwards. */
export function judgeOtp(
  path: string | undefined,
  file: FileSeen | undefined,
  enrolled: boolean | undefined,
): Line {
  if (path === undefined || file === undefined) return skip("OTP", "needs valid parameters");
  if (file.is === "hidden" && file.error === notAFile)
    return lineOf("OTP", new Failure("otp.unreadable", { file: path, error: file.error }));
  if (file.is === "hidden") return hidden("OTP", path, file.error);
  if (enrolled === true) {
    return file.is === "none"
      ? ok("OTP", "not needed any more, and not there")
      : warn("OTP", `${path} is still there after enrolment`, `It is spent; remove it: rm ${path}`);
  }
  if (file.is === "none") return lineOf("OTP", new Failure("otp.missing", { file: path }));
  if (file.bytes === 0)
    return fail("OTP", `${path} is empty`, "Write the OTP into it; create a new one in the controller.");
  if ((file.mode & 0o077) !== 0) {
    return warn("OTP", `${path} has mode ${octal(file.mode)}: others can read it`, `chmod 600 ${path}`);
  }
  return ok("OTP", `${path} is there, for its owner only`);
}

export function judgeStateFolder(path: string, folder: FolderSeen): Line {
  if (folder.is === "hidden") return hidden("state directory", path, folder.error);
  if (folder.is === "none") {
    return warn(
      "state directory",
      `${path} is not there yet`,
      "The unit makes it at the first start (StateDirectory=connector).",
    );
  }
  if (folder.writeError === "EROFS")
    return lineOf("state directory", new Failure("store.read-only", { path }));
  if (folder.writeError !== undefined) {
    return warn(
      "state directory",
      `${path} cannot be written by you (${folder.writeError})`,
      "Run `sudo connector check` to see it as the agent does.",
    );
  }
  const free = `${byteSize(folder.freeBytes)} free`;
  if (folder.freeBytes < freeBytesMin)
    return lineOf("state directory", new Failure("store.full", { path, space: free }));
  if (folder.freeBytes < freeBytesWarn)
    return warn(
      "state directory",
      `${path}: ${free}`,
      "Free space before it runs out; nothing can be leased without.",
    );
  if ((folder.mode & 0o007) !== 0) {
    return warn(
      "state directory",
      `${path} has mode ${octal(folder.mode)}: everybody can look in`,
      `chmod 750 ${path}`,
    );
  }
  return ok("state directory", `${path} can be written, ${free}`);
}

/** A file that only root or the agent may see is no fault. */
export function hidden(name: string, path: string, error: string): Line {
  return warn(
    name,
    `${path} cannot be looked at (${error})`,
    "Run `sudo connector check` to see it as the agent does.",
  );
}

function writeError(path: string): string | undefined {
  try {
    accessSync(path, constants.W_OK);
    return undefined;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? "unknown";
  }
}

function absence(error: unknown): { is: "none" } | { is: "hidden"; error: string } {
  const code = (error as NodeJS.ErrnoException).code ?? "unknown";
  return code === "ENOENT" || code === "ENOTDIR" ? { is: "none" } : { is: "hidden", error: code };
}

function octal(mode: number): string {
  return mode.toString(8).padStart(4, "0");
}
