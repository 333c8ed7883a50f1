import { join } from "node:path";
import { Failure } from "../../../protocol/failures.ts";
import { createLogger } from "../../../protocol/node/log.ts";
import { IdentityFile } from "../../adapters/identity-file.ts";
import type { SavedIdentity } from "../../core/identity.ts";
import { type Line, lineOf, ok, warn } from "./line.ts";
import { type FileSeen, hidden, lookAtFile } from "./state.ts";

export interface IdentitySeen {
  readonly path: string;
  readonly file: FileSeen;
  /** Undefined where it was not read. */
  readonly saved: SavedIdentity | undefined;
}

/** Reads the identity as the agent does. A file that others can read is left as it is, and only told. */
export function lookAtIdentity(stateDir: string): IdentitySeen {
  const path = join(stateDir, "identity.json");
  const file = lookAtFile(path);
  if (file.is !== "there" || isOpen(file)) return { path, file, saved: undefined };
  return {
    path,
    file,
    saved: new IdentityFile(stateDir, createLogger({ name: "check", level: "silent" })).load(),
  };
}

export function isEnrolled({ file, saved }: IdentitySeen): boolean | undefined {
  if (file.is === "none") return false;
  return saved?.is === "saved" ? saved.record.enrolment !== undefined : undefined;
}

/** `ec2InstanceId` is undefined when the metadata service did not tell. */
export function judgeIdentity({ path, file, saved }: IdentitySeen, ec2InstanceId: string | undefined): Line {
  if (file.is === "hidden") return hidden("identity", path, file.error);
  if (file.is === "none") return ok("identity", "none yet; the agent makes its keys at the first start");
  if (saved === undefined) {
    return warn(
      "identity",
      `${path} can be read by others`,
      `chmod 600 ${path}, and enrol anew if somebody may have read the keys.`,
    );
  }
  if (saved.is === "unreadable") return unreadable(path, saved.detail);
  if (saved.is === "none") return ok("identity", "none yet; the agent makes its keys at the first start");
  if (ec2InstanceId !== undefined && saved.record.ec2InstanceId !== ec2InstanceId) {
    return lineOf("identity", new Failure("identity.cloned", { "made on": saved.record.ec2InstanceId }));
  }
  const { enrolment, ec2InstanceId: madeOn } = saved.record;
  if (enrolment === undefined) return ok("identity", "the keys are there, not enrolled yet");
  const text = `enrolled as ${enrolment.name} in ${enrolment.connector}`;
  if (ec2InstanceId !== undefined) return ok("identity", text);
  // A boot ago it may have been copied: the agent waits for the metadata service, too (`decideIdentity`).
  return ok("identity", `${text} on ${madeOn}; that this is it needs the metadata service`);
}

function unreadable(path: string, detail: string): Line {
  if (detail === "EACCES") return hidden("identity", path, detail);
  return lineOf("identity", new Failure("identity.unreadable", { file: path, problem: detail }));
}

function isOpen(file: Extract<FileSeen, { is: "there" }>): boolean {
  return (file.mode & 0o077) !== 0;
}
