import { closeSync, openSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { readFileIfThere } from "../../protocol/node/files.ts";
import type { Logger } from "../../protocol/node/log.ts";
import { Secret } from "../../protocol/secret.ts";
import type { OtpSeen } from "../core/enrolment-states.ts";

export interface OtpOptions {
  readonly path: string;
  /** The folder of systemd's credentials: copies, which only root can take away where they are from. */
  readonly credentials: string | undefined;
  /** The file that asks for that, of connector-otp.path. */
  readonly spentFile: string;
  readonly log: Logger;
}

/** The one-time password where cloud-init or systemd left it. */
export class OtpFile {
  readonly #path: string;
  readonly #spentFile: string | undefined;
  readonly #log: Logger;

  constructor({ path, credentials, spentFile, log }: OtpOptions) {
    this.#path = path;
    this.#spentFile = dirname(path) === credentials ? spentFile : undefined;
    this.#log = log;
  }

  /** The mark tells nothing of the file's content. An empty file is none. */
  look(): OtpSeen {
    try {
      const file = statSync(this.#path);
      if (!file.isFile()) return { is: "unreadable", error: "not a file" };
      if (file.size === 0) return { is: "none" };
      closeSync(openSync(this.#path, "r"));
      return { is: "there", mark: `${file.ino} ${file.size} ${file.mtimeMs}` };
    } catch (error) {
      const { code = "unknown" } = error as NodeJS.ErrnoException;
      return code === "ENOENT" || code === "ENOTDIR" ? { is: "none" } : { is: "unreadable", error: code };
    }
  }

  /** Undefined when it cannot be read; the log says why. */
  read(): Secret | undefined {
    try {
      const text = readFileIfThere(this.#path)?.trim();
      if (text === undefined || text === "") return undefined;
      return new Secret(text);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      this.#log.warn({ path: this.#path, code }, "the OTP file cannot be read");
      return undefined;
    }
  }

  /** It is spent: takes it away where that is possible, and says where a copy remains. */
  remove(): void {
    if (this.look().is !== "there") return;
    try {
      if (this.#spentFile !== undefined) {
        writeFileSync(this.#spentFile, "");
        this.#log.info({ path: this.#path }, "the OTP is spent; systemd is asked to remove it");
        return;
      }
      rmSync(this.#path);
      this.#log.info({ path: this.#path, remains }, "the spent OTP was removed");
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      this.#log.info(
        { path: this.#path, code, remains },
        "the spent OTP cannot be removed; it is of no use any more",
      );
    }
  }
}

/** What a process without root cannot reach. The OTP is bound to this instance's key by now: safe, but untidy. */
const remains = "the instance's user-data, and cloud-init's copies of it";
