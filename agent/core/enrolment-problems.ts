import type { Problem } from "./conditions.ts";
import type { Identity, InstanceReading, OtpSeen, Saving } from "./enrolment-states.ts";
import type { IdentityDecision } from "./identity.ts";

export interface IdentitySeen {
  readonly identity: Identity;
  readonly saving: Saving;
  /** Undefined before the first answer. */
  readonly reading: InstanceReading | undefined;
  readonly decision: IdentityDecision | undefined;
}

/** What is wrong with who this is, and with what tells it. */
export function identityProblems({ identity, saving, reading, decision }: IdentitySeen): Problem[] {
  const problems: Problem[] = [];
  if (identity.kind === "unreadable") {
    problems.push({ code: "identity.unreadable", facts: { detail: identity.detail } });
  }
  for (const failure of [
    identity.kind === "notMade" && identity.failure,
    saving.kind === "failed" && saving.failure,
  ]) {
    if (failure) problems.push({ code: failure.code, subject: "identity", facts: failure.facts });
  }
  const record = identity.kind === "held" ? identity.record : undefined;
  const isEnrolled = record?.enrolment !== undefined;
  if (record?.clonedFrom !== undefined && !isEnrolled) {
    const facts = { "copied from": record.clonedFrom, "this instance": record.ec2InstanceId };
    problems.push({ code: "identity.cloned", facts });
  }
  if (isEnrolled && reading !== undefined && decision === "wait") {
    problems.push({ code: "identity.unconfirmed", facts: { "made on": record.ec2InstanceId } });
  }
  if (reading?.is === "unknown") {
    problems.push({ code: isEnrolled ? reading.why : "enrol.document-missing", facts: reading.facts });
  }
  return problems;
}

export function otpProblems(seen: OtpSeen, file: string): Problem[] {
  switch (seen.is) {
    case "there":
      return [];
    case "none":
      return [{ code: "otp.missing", facts: { file } }];
    case "unreadable":
      return [{ code: "otp.unreadable", facts: { file, error: seen.error } }];
  }
}
